/* tests/unit/lp1_model.c - see lp1_model.h: deliveries, trouble, time */
#include <stdio.h>
#include <stdlib.h>

#include "lp1_sim.h"

static void to_binder(struct sim *s, struct conn *c, struct wire *w)
{
    struct node *n = sim_binder(s, c->port);
    if (!n)
        return;
    if (n->kind == NODE_HEAD)
        lp1_head_message(n->head, c->id, w->m, s->now);
    else if (n->kind == NODE_HUB && c->port == PORT_HUB_DOWN)
        lp1_hub_from_below(n->hub, c->id, w->m, s->now);
    else if (n->kind == NODE_HUB)
        lp1_hub_from_above(n->hub, c->id, w->m, s->now);
    else
        lp1_tail_from_worker(n->tail, c->id, w->m, s->now);
    if (!s->p->quick || below(s, 4) == 0)           /* several at one go */
        node_turn(s, n);
}

static void to_client(struct sim *s, struct conn *c, struct wire *w)
{
    struct node *n = &s->node[c->client];
    if (!n->alive)
        return;
    if (n->kind == NODE_WORKER)
        lp1_worker_message(n->worker, (enum lp1_link)c->link, w->m, s->now);
    else if (n->kind == NODE_HUB)
        lp1_hub_from_head(n->hub, w->m, s->now);
    else
        lp1_tail_from_head(n->tail, w->m, s->now);
    if (!s->p->quick || below(s, 4) == 0)
        node_turn(s, n);
}

/* One message of some connection arrives. */
static void deliver(struct sim *s)
{
    int from = (int)below(s, CONNS);
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &s->conn[(from + i) % CONNS];
        if (!c->used)
            continue;
        if (!c->open && !c->up.n && !c->down.n) {
            c->used = false;
            continue;
        }
        bool up = c->up.n && (!c->down.n || below(s, 2));
        struct queue *k = up ? &c->up : &c->down;
        if (!k->n)
            continue;
        struct wire *w = k->head;
        k->head = w->next;
        k->n--;
        if (up)
            to_binder(s, c, w);
        else
            to_client(s, c, w);
        wire_free(s, w);
        return;
    }
}

/* --- trouble ------------------------------------------------------------------------------------------ */

static void trouble(struct sim *s)
{
    struct node *n = &s->node[below(s, (uint64_t)s->nnode)];
    switch (below(s, 4)) {
    case 0:
        if (s->kills && n->alive && !n->left) {
            s->kills--;
            node_kill(s, n);
        }
        break;
    case 1: {
        struct conn *c = &s->conn[below(s, CONNS)];
        if (s->breaks && c->used && c->open) {
            s->breaks--;
            conn_break(s, c, false, false);
        }
        break;
    }
    case 2:
        if (s->joins) {
            s->joins--;
            node_add(s, NODE_WORKER, s->p->hub ? (int)below(s, 2) : 0);
        }
        break;
    default:
        if (s->leaves && n->kind == NODE_WORKER && n->alive) {
            uint64_t list[LP1_LIST];
            size_t k = 0;
            s->leaves--;
            while (n->njob && below(s, 2))
                list[k++] = n->job[--n->njob].q;
            lp1_worker_leave(n->worker, list, k, s->now);
            n->up_at = s->now + 1e9;
            node_add(s, NODE_WORKER, n->pool);      /* another comes for it, so that the work can end */
        }
    }
}

static bool all_left(const struct sim *s)
{
    for (int i = 0; i < s->nnode; i++)
        if (!s->node[i].left && (s->node[i].alive || s->node[i].up_at < 1e9))
            return false;
    return true;
}

/* A HEAD or hub that was started anew after the end waits for a consumer; whoever started it starts that too. */
static void wake(struct sim *s)
{
    bool waits = false;
    for (int i = 0; i < s->nnode; i++)
        waits |= s->node[i].kind != NODE_WORKER && !s->node[i].left;
    for (int i = 0; waits && i < s->nnode; i++) {
        struct node *n = &s->node[i];
        if (n->left && (n->kind == NODE_TAIL || n->kind == NODE_HUB)) {
            n->left = false;
            n->up_at = s->now;
        }
    }
}

static void step(struct sim *s)
{
    double before = s->now;
    s->now += unit_real(s) * 0.02;
    if ((int)(before / 50) != (int)(s->now / 50))
        wake(s);
    if (s->now < 60 && below(s, 30) == 0)
        trouble(s);
    for (int i = 0; i < s->nnode; i++) {
        struct node *n = &s->node[i];
        if (!n->alive && !n->left && s->now >= n->up_at)
            node_start(s, n);
        else if (n->alive && (s->now >= n->next_tick || below(s, 8) == 0))
            node_turn(s, n);
    }
    deliver(s);
    deliver(s);
}

void model_run(const struct model_plan *p, struct model_result *r)
{
    struct sim *s = calloc(1, sizeof *s);
    *r = (struct model_result){ .right = true, .bounded = true };
    *s = (struct sim){ .p = p, .r = r, .rng = p->seed * 0x2545f4914f6cdd1du + 1, .kills = p->kills,
                       .breaks = p->breaks, .joins = p->joins,
                       .leaves = p->leaves };
    node_add(s, NODE_HEAD, 0);
    node_add(s, NODE_TAIL, 0);
    if (p->hub)
        node_add(s, NODE_HUB, 0);
    for (int i = 0; i < p->workers; i++) {
        node_add(s, NODE_WORKER, 0);
        if (p->hub)
            node_add(s, NODE_WORKER, 1);
    }
    while (!all_left(s) && s->now < 3000 && r->right)
        step(s);
    r->finished = all_left(s);
    if (getenv("MODEL_TRACE"))
        for (int i = 0; i < s->nnode; i++)
            node_show(&s->node[i]);
    r->seconds = s->now;
    uint64_t want = 0;
    for (uint64_t q = 0; q < p->units; q++)
        want = mix(want, sim_expected(s, q) + q);
    if (r->right && (s->saved.state != want || s->saved.cursor != p->units || !s->saved.final))
        sim_wrong(s, "the final state differs", s->saved.cursor);
    for (int i = 0; i < s->nnode; i++)
        if (s->node[i].alive)
            node_end(s, &s->node[i]);
    for (int i = 0; i < CONNS; i++) {
        queue_cut(s, &s->conn[i].up, 0);
        queue_cut(s, &s->conn[i].down, 0);
    }
    r->leaked = s->bodies;
    free(s);
}
