/* tests/unit/lp1_model.c - see lp1_model.h */
#include "lp1_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/lp1/hub.h"
#include "libcommon/stream/lp1/worker.h"

enum { UNIT_BYTES = 16000, HELD = 64, NODES = 24, CONNS = 64, SERVERS = 3 };

struct body { int refs; uint64_t value; };
struct wire { struct wire *next; struct lp1_message *m; };
struct queue { struct wire *head, **tail; int n; };

enum kind { NODE_HEAD, NODE_TAIL, NODE_HUB, NODE_WORKER };
enum port { PORT_HEAD, PORT_HUB_UP, PORT_HUB_DOWN, PORT_TAIL, PORTS };      /* what binds */

struct conn {
    bool used, open;
    uint64_t id;
    int client, link;           /* node, and which of its two sockets */
    enum port port;
    struct queue up, down;      /* to the binder, to the client */
};

struct job { uint64_t q, e, value; double until; };

struct node {
    enum kind kind;
    bool alive, left;
    struct sim *sim;
    int at;
    struct lp1_worker *worker;
    struct lp1_head *head;
    struct lp1_tail *tail;
    struct lp1_hub *hub;
    enum port dial[2];          /* where its sockets connect */
    double up_at, next_tick;    /* not before this is it started */
    size_t njob;
    struct job job[LP1_LIST];
    struct body *header;
    bool header_known;
    int pool;
};

struct checkpoint { uint64_t cursor, state; bool final; double durable_at; };

struct sim {
    const struct model_plan *p;
    struct model_result *r;
    uint64_t rng, ids, tail_counter, clock_counter;
    double now;
    long bodies;
    struct node node[NODES];
    int nnode;
    struct conn conn[CONNS];
    int kills, breaks, joins, leaves;
    uint64_t cursor, state;     /* the consumer's */
    struct checkpoint saved, pending;
    bool is_pending, committed_final, done_head;
};

/* --- chance, bodies --------------------------------------------------------------- */

static uint64_t rnd(struct sim *s)
{
    s->rng += 0x9e3779b97f4a7c15u;
    uint64_t z = s->rng;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static uint64_t below(struct sim *s, uint64_t n) { return rnd(s) % n; }
static double unit_real(struct sim *s) { return (double)(rnd(s) >> 11) / 9007199254740992.0; }
static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0xff51afd7ed558ccdu;
    return a ^ (a >> 32);
}

static struct body *body_new(struct sim *s, uint64_t value)
{
    struct body *b = malloc(sizeof *b);
    *b = (struct body){ 1, value };
    s->bodies++;
    return b;
}
static void body_drop(struct sim *s, struct body *b)
{
    if (b && !--b->refs) {
        s->bodies--;
        free(b);
    }
}
static void on_body_free(void *ctx, void *body) { body_drop(((struct node *)ctx)->sim, body); }

/* --- the network ---------------------------------------------------------------------- */

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
static void wire_free(struct sim *s, struct wire *w)
{
    body_drop(s, w->m->header);
    for (size_t i = 0; i < w->m->nunit; i++)        /* those that nobody kept */
        body_drop(s, w->m->unit[i].body);
    free(w->m);
    free(w);
}
/* All but the first `keep` are lost. */
static void queue_cut(struct sim *s, struct queue *k, int keep)
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

static struct node *binder(struct sim *s, enum port port)
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
    if (c || !binder(s, n->dial[link]))
        return c;
    for (int i = 0; i < CONNS; i++)
        if (!s->conn[i].used) {
            s->conn[i] = (struct conn){ .used = true, .open = true, .id = ++s->ids, .client = n->at, .link = link,
                                        .port = n->dial[link] };
            return &s->conn[i];
        }
    return NULL;
}

static void conn_break(struct sim *s, struct conn *c, bool client_dead, bool binder_dead)
{
    c->open = false;
    queue_cut(s, &c->up, binder_dead ? 0 : (int)below(s, (uint64_t)c->up.n + 1));
    queue_cut(s, &c->down, client_dead ? 0 : (int)below(s, (uint64_t)c->down.n + 1));
}

static bool client_send(struct node *n, int link, const struct lp1_message *m)
{
    struct conn *c = conn_make(n->sim, n, link);
    if (!c)
        return false;
    queue_push(n->sim, &c->up, m);
    return true;
}
static bool binder_send(struct node *n, uint64_t peer, const struct lp1_message *m)
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
static void client_reset(struct node *n, int link)
{
    struct conn *c = conn_of(n->sim, n->at, link);
    if (c)
        conn_break(n->sim, c, true, false);
}

/* --- actions of the machines --------------------------------------------------------------- */

static bool on_head_send(void *ctx, uint64_t peer, const struct lp1_message *m) { return binder_send(ctx, peer, m); }
static bool on_tail_head(void *ctx, const struct lp1_message *m) { return client_send(ctx, 0, m); }
static void on_tail_reset(void *ctx) { client_reset(ctx, 0); }
static bool on_tail_worker(void *ctx, uint64_t peer, const struct lp1_message *m) { return binder_send(ctx, peer, m); }
static void on_head_header(void *ctx, void *body) { (void)ctx, (void)body; }
static bool on_tail_header(void *ctx, void *body)
{
    struct node *n = ctx;
    uint64_t value = ((struct body *)body)->value;
    if (n->header)
        return n->header->value == value;
    n->header = body_new(n->sim, value);
    if (n->hub)
        lp1_hub_header(n->hub, n->header);
    return true;
}
static bool on_worker_send(void *ctx, enum lp1_link to, const struct lp1_message *m)
{
    return client_send(ctx, (int)to, m);
}
static void on_worker_reset(void *ctx, enum lp1_link which) { client_reset(ctx, (int)which); }
static void on_worker_header(void *ctx, void *body)
{
    struct node *n = ctx;
    if (!n->header)
        n->header = body_new(n->sim, mix(((struct body *)body)->value, 77 + (uint64_t)n->pool));
}
static uint64_t made(uint64_t q) { return mix(q, 12345); }
static void on_worker_run(void *ctx, const struct lp1_unit *u)
{
    struct node *n = ctx;
    struct sim *s = n->sim;
    double work = s->p->quick ? 0.001 : 0.05 + unit_real(s) * 0.3;
    if (mix(u->q, 99) % (s->p->quick ? 256 : 16) == 0)            /* it kills the child some times before it is an error record */
        work += 2;
    if (below(s, s->p->quick ? 1000 : 100) == 0)
        work += 20;
    n->job[n->njob++] = (struct job){ u->q, u->e, mix(((struct body *)u->body)->value, (uint64_t)n->pool), s->now + work };
    body_drop(s, u->body);
}

/* --- processes ---------------------------------------------------------------------------------- */

static void node_start(struct sim *s, struct node *n)
{
    const struct lp1_head_out head = { n, on_head_send, on_body_free };
    const struct lp1_tail_out tail = { n, on_tail_head, on_tail_reset, on_tail_worker, on_tail_header, on_head_header, on_body_free };
    const struct lp1_worker_out worker = { n, on_worker_send, on_worker_reset, on_worker_header, on_worker_run, on_body_free };
    uint8_t run[16] = "the plan of it", none[16] = { 0 };
    uint64_t bytes = s->p->window * UNIT_BYTES;
    n->alive = true;
    n->njob = 0;
    n->header_known = false;
    n->next_tick = s->now;
    switch (n->kind) {
    case NODE_HEAD:
        n->header = body_new(s, 4242);
        n->head = lp1_head_new(run, rnd(s) | 1, n->header, bytes, &head);
        lp1_head_total(n->head, s->p->units);
        break;
    case NODE_TAIL:
        s->cursor = s->saved.cursor;
        s->state = s->saved.state;
        s->is_pending = false;
        n->tail = lp1_tail_new(s->saved.cursor ? run : none, ++s->tail_counter, s->saved.cursor, LP1_TAIL, bytes, &tail);
        if (s->saved.final)
            lp1_tail_final(n->tail);
        break;
    case NODE_HUB:
        n->hub = lp1_hub_new(s->clock_counter += 1000, bytes, &tail, &head);
        break;
    case NODE_WORKER:
        n->worker = lp1_worker_new(rnd(s) | 1, 2 + below(s, 3), "host", &worker);
        break;
    }
}

static void node_end(struct sim *s, struct node *n)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &s->conn[i];
        bool client = c->client == n->at, bind = c->used && binder(s, c->port) == n;
        if (c->used && (client || bind) && (c->open || c->up.n + c->down.n))
            conn_break(s, c, client, bind);
    }
    lp1_head_free(n->head);
    lp1_tail_free(n->tail);
    lp1_worker_free(n->worker);
    lp1_hub_free(n->hub);
    body_drop(s, n->header);
    n->header = NULL;
    n->head = NULL, n->tail = NULL, n->worker = NULL, n->hub = NULL;
    n->alive = false;
}

static struct node *node_add(struct sim *s, enum kind kind, int pool)
{
    if (s->nnode == NODES)
        return NULL;
    struct node *n = &s->node[s->nnode];
    *n = (struct node){ .kind = kind, .sim = s, .at = s->nnode++, .pool = pool };
    n->dial[0] = kind == NODE_TAIL && s->p->hub ? PORT_HUB_DOWN : pool == 1 ? PORT_HUB_DOWN : PORT_HEAD;
    n->dial[1] = s->p->hub && pool == 0 ? PORT_HUB_UP : PORT_TAIL;
    n->up_at = s->now + unit_real(s) * 3;
    return n;
}

static void node_kill(struct sim *s, struct node *n)
{
    int *count[] = { &s->r->head_kills, &s->r->tail_kills, &s->r->hub_kills, &s->r->worker_kills };
    ++*count[n->kind];
    node_end(s, n);
    n->up_at = s->now + unit_real(s) * 8;
}

/* --- what each does when it is its turn ----------------------------------------------------------- */

static void wrong(struct sim *s, const char *what, uint64_t q)
{
    s->r->right = false;
    snprintf(s->r->why, sizeof s->r->why, "%s at unit %llu", what, (unsigned long long)q);
}

static uint64_t expected(const struct sim *s, uint64_t q)
{
    uint64_t v = mix(made(q), 0);
    return s->p->hub ? mix(v, 1) : v;
}

static void consumer(struct sim *s, struct node *n)
{
    struct lp1_unit u;
    struct lp1_tail_state st;
    lp1_tail_state(n->tail, &st);
    if (st.bytes > (s->p->window + 1) * UNIT_BYTES)     /* the budget, and the one that all wait for */
        s->r->bounded = false;
    for (uint64_t i = below(s, s->p->quick ? 100 : 4); i && lp1_tail_take(n->tail, &u); i--) {
        struct body *b = u.body;
        if (u.q != s->cursor)
            wrong(s, "out of order", u.q);
        if (b->value != expected(s, u.q))
            wrong(s, "another body", u.q);
        s->state = mix(s->state, b->value + u.q);
        s->cursor = u.q + 1;
        body_drop(s, b);
    }
    bool end = lp1_tail_ended(n->tail);
    bool news = s->cursor > s->saved.cursor && below(s, 12) == 0;
    if (!s->is_pending && (news || (end && !s->saved.final))) {
        s->pending = (struct checkpoint){ s->cursor, s->state, end, s->now + unit_real(s) * 2 };
        s->is_pending = true;
    }
    if (s->is_pending && s->now >= s->pending.durable_at) {
        s->saved = s->pending;
        s->is_pending = false;
        lp1_tail_commit(n->tail, s->saved.cursor);
        if (s->saved.final)
            lp1_tail_final(n->tail);
    }
    if (below(s, 2))
        lp1_tail_flush(n->tail, s->now);
    if (lp1_tail_finished(n->tail)) {
        s->r->duplicates += st.duplicates;
        s->r->refused += st.refused;
        n->left = true;
        node_end(s, n);
    }
}

static void source(struct sim *s, struct node *n)
{
    uint64_t q;
    for (uint64_t i = below(s, s->p->quick ? 100 : 4); i && lp1_head_wants(n->head, &q); i--)
        lp1_head_put(n->head, &(struct lp1_unit){ .q = q, .k = 1, .n = 1 + mix(q, 5) % UNIT_BYTES, .c = (uint32_t)q, .body = body_new(s, made(q)) });
    if (below(s, 2))
        lp1_head_flush(n->head, s->now);
    if (lp1_head_finished(n->head)) {
        n->left = true;
        node_end(s, n);
    }
}

static void worker(struct sim *s, struct node *n)
{
    int status;
    if (n->header && !n->header_known) {
        n->header_known = true;
        lp1_worker_header(n->worker, n->header, s->now);
    }
    for (size_t i = 0; i < n->njob; i++) {
        struct job j = n->job[i];
        if (s->now < j.until)
            continue;
        n->job[i--] = n->job[--n->njob];
        struct lp1_unit u = { .q = j.q, .e = j.e, .k = 1, .n = 1 + mix(j.q, 6) % UNIT_BYTES, .c = (uint32_t)j.q, .body = body_new(s, j.value) };
        lp1_worker_result(n->worker, &u, s->now);
    }
    if (below(s, 2))
        lp1_worker_flush(n->worker, s->now);
    if (lp1_worker_fatal(n->worker, &status) && status == 100)
        wrong(s, lp1_worker_fatal(n->worker, &status), 0);
    if (lp1_worker_finished(n->worker) || lp1_worker_fatal(n->worker, &status)) {
        n->left = true;
        node_end(s, n);
    }
}

static void turn(struct sim *s, struct node *n)
{
    bool tick = s->now >= n->next_tick;
    if (tick)
        n->next_tick = s->now + 0.25;
    if (n->kind == NODE_HEAD) {
        if (tick)
            lp1_head_tick(n->head, s->now);
        source(s, n);
    } else if (n->kind == NODE_TAIL) {
        if (tick)
            lp1_tail_tick(n->tail, s->now);
        consumer(s, n);
    } else if (n->kind == NODE_HUB) {
        if (tick)
            lp1_hub_tick(n->hub, s->now);
        if (below(s, 2))
            lp1_hub_flush(n->hub, s->now);
        if (lp1_hub_finished(n->hub)) {
            n->left = true;
            node_end(s, n);
        }
    } else {
        if (tick)
            lp1_worker_tick(n->worker, s->now);
        worker(s, n);
    }
}

static void to_binder(struct sim *s, struct conn *c, struct wire *w)
{
    struct node *n = binder(s, c->port);
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
        turn(s, n);
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
        turn(s, n);
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
            turn(s, n);
    }
    deliver(s);
    deliver(s);
}

/* For whoever looks for the reason of a hang. */
static void node_show(const struct node *n)
{
    static const char *const names[] = { "head", "tail", "hub", "worker" };
    const struct lp1_head *head = n->hub ? lp1_hub_head(n->hub) : n->head;
    const struct lp1_tail *tail = n->hub ? lp1_hub_tail(n->hub) : n->tail;
    printf("# %d %s, pool %d: %s", n->at, names[n->kind], n->pool, n->left ? "left" : n->alive ? "alive" : "dead");
    if (head) {
        struct lp1_head_state h;
        lp1_head_state(head, &h);
        printf("; head: tail %d base %llu pos %llu limit %llu commit %llu workers %zu slots %zu leased %zu", h.tail,
               (unsigned long long)h.base, (unsigned long long)h.pos, (unsigned long long)h.limit, (unsigned long long)h.commit,
               h.workers, h.slots, h.leased);
    }
    if (tail) {
        struct lp1_tail_state t;
        lp1_tail_state(tail, &t);
        printf("; tail: head %d taken %llu next %llu limit %llu commit %llu workers %zu held %zu", t.head,
               (unsigned long long)t.taken, (unsigned long long)t.next, (unsigned long long)t.limit, (unsigned long long)t.commit,
               t.workers, t.held);
    }
    if (n->worker) {
        struct lp1_worker_state w;
        lp1_worker_state(n->worker, &w);
        printf("; up %d %d running %zu offered %zu jobs %zu", w.up[0], w.up[1], w.running, w.offered, n->njob);
    }
    printf("\n");
}

void model_run(const struct model_plan *p, struct model_result *r)
{
    struct sim *s = calloc(1, sizeof *s);
    *r = (struct model_result){ .right = true, .bounded = true };
    *s = (struct sim){ .p = p, .r = r, .rng = p->seed * 0x2545f4914f6cdd1du + 1, .kills = p->kills, .breaks = p->breaks, .joins = p->joins,
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
        want = mix(want, expected(s, q) + q);
    if (r->right && (s->saved.state != want || s->saved.cursor != p->units || !s->saved.final))
        wrong(s, "the final state differs", s->saved.cursor);
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
