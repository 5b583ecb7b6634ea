/* tests/unit/lp1_sim_net.c - bodies, and the network of lp1_model.c: queues of messages, of which the last may be lost */
#include <stdlib.h>
#include <string.h>

#include "lp1_sim.h"

struct body *body_new(struct sim *s, uint64_t value)
{
    struct body *b = malloc(sizeof *b);
    *b = (struct body){ 1, value };
    s->bodies++;
    return b;
}
void body_drop(struct sim *s, struct body *b)
{
    if (b && !--b->refs) {
        s->bodies--;
        free(b);
    }
}
void on_body_free(void *ctx, void *body) { body_drop(((struct node *)ctx)->sim, body); }

static void queue_push(struct sim *s, struct queue *k, const struct lp1_message *m)
{
    struct wire *w = malloc(sizeof *w);
    w->m = malloc(sizeof *w->m);
    memcpy(w->m, m, offsetof(struct lp1_message, unit));
    memcpy(w->m->unit, m->unit, m->nunit * sizeof *m->unit);
    memcpy(w->m->list, m->list, m->nlist * sizeof *m->list);
    memcpy(w->m->sack, m->sack, m->nsack * sizeof *m->sack);
    w->next = NULL;
    if (m->header)
        ((struct body *)m->header)->refs++;
    for (size_t i = 0; i < m->nunit; i++)
        ((struct body *)m->unit[i].body)->refs++;
    s->r->batches += m->nunit > 1;
    if (m->nunit > LP1_BATCH || (m->nunit > 1 && lp1_message_bytes(m) > LP1_BATCH_BYTES))
        s->r->bounded = false;
    if (!k->head)
        k->tail = &k->head;
    *k->tail = w;
    k->tail = &w->next;
    k->n++;
}
void wire_free(struct sim *s, struct wire *w)
{
    body_drop(s, w->m->header);
    for (size_t i = 0; i < w->m->nunit; i++)        /* those that nobody kept */
        body_drop(s, w->m->unit[i].body);
    free(w->m);
    free(w);
}
/* All but the first `keep` are lost. */
void queue_cut(struct sim *s, struct queue *k, int keep)
{
    struct wire **p = &k->head;
    for (int i = 0; i < keep && *p; i++)
        p = &(*p)->next;
    while (*p) {
        struct wire *w = *p;
        *p = w->next;
        wire_free(s, w);
        k->n--;
    }
    k->tail = p;
}

struct node *sim_binder(struct sim *s, enum port port)
{
    enum kind want = port == PORT_HEAD ? NODE_HEAD : port == PORT_TAIL ? NODE_TAIL : NODE_HUB;
    for (int i = 0; i < s->nnode; i++)
        if (s->node[i].kind == want && s->node[i].alive)
            return &s->node[i];
    return NULL;
}

static struct conn *conn_of(struct sim *s, int client, int link)
{
    for (int i = 0; i < CONNS; i++)
        if (s->conn[i].used && s->conn[i].open && s->conn[i].client == client && s->conn[i].link == link)
            return &s->conn[i];
    return NULL;
}

/* As libzmq does by itself: a socket whose other side is up gets a connection. */
static struct conn *conn_make(struct sim *s, struct node *n, int link)
{
    struct conn *c = conn_of(s, n->at, link);
    if (c || !sim_binder(s, n->dial[link]))
        return c;
    for (int i = 0; i < CONNS; i++)
        if (!s->conn[i].used) {
            s->conn[i] = (struct conn){ .used = true, .open = true, .id = ++s->ids, .client = n->at, .link = link,
                                        .port = n->dial[link] };
            return &s->conn[i];
        }
    return NULL;
}

void conn_break(struct sim *s, struct conn *c, bool client_dead, bool binder_dead)
{
    c->open = false;
    queue_cut(s, &c->up, binder_dead ? 0 : (int)below(s, (uint64_t)c->up.n + 1));
    queue_cut(s, &c->down, client_dead ? 0 : (int)below(s, (uint64_t)c->down.n + 1));
}

bool client_send(struct node *n, int link, const struct lp1_message *m)
{
    struct conn *c = conn_make(n->sim, n, link);
    if (!c)
        return false;
    queue_push(n->sim, &c->up, m);
    return true;
}
bool binder_send(struct node *n, uint64_t peer, const struct lp1_message *m)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &n->sim->conn[i];
        if (c->used && c->open && c->id == peer) {
            queue_push(n->sim, &c->down, m);
            return true;
        }
    }
    return false;
}
void client_reset(struct node *n, int link)
{
    struct conn *c = conn_of(n->sim, n->at, link);
    if (c)
        conn_break(n->sim, c, true, false);
}
