/* tests/unit/lp1_sim_node.c - the processes of lp1_model.c: LP1's machines, source, consumer, workers */
#include <stdio.h>

#include "lp1_sim.h"

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
    /* it kills the child some times before it is an error record */
    if (mix(u->q, 99) % (s->p->quick ? 256 : 16) == 0)
        work += 2;
    if (below(s, s->p->quick ? 1000 : 100) == 0)
        work += 20;
    n->job[n->njob++] = (struct job){ u->q, u->e, mix(((struct body *)u->body)->value, (uint64_t)n->pool), s->now + work };
    body_drop(s, u->body);
}

/* --- processes ---------------------------------------------------------------------------------- */

void node_start(struct sim *s, struct node *n)
{
    const struct lp1_head_out head = { n, on_head_send, on_body_free };
    const struct lp1_tail_out tail = { n, on_tail_head, on_tail_reset, on_tail_worker, on_tail_header, on_head_header,
                                       on_body_free };
    const struct lp1_worker_out worker = { n, on_worker_send, on_worker_reset, on_worker_header, on_worker_run,
                                           on_body_free };
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

void node_end(struct sim *s, struct node *n)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &s->conn[i];
        bool client = c->client == n->at, bind = c->used && sim_binder(s, c->port) == n;
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

struct node *node_add(struct sim *s, enum kind kind, int pool)
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

void node_kill(struct sim *s, struct node *n)
{
    int *count[] = { &s->r->head_kills, &s->r->tail_kills, &s->r->hub_kills, &s->r->worker_kills };
    ++*count[n->kind];
    node_end(s, n);
    n->up_at = s->now + unit_real(s) * 8;
}

/* --- what each does when it is its turn ----------------------------------------------------------- */

void sim_wrong(struct sim *s, const char *what, uint64_t q)
{
    s->r->right = false;
    snprintf(s->r->why, sizeof s->r->why, "%s at unit %llu", what, (unsigned long long)q);
}

uint64_t sim_expected(const struct sim *s, uint64_t q)
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
            sim_wrong(s, "out of order", u.q);
        if (b->value != sim_expected(s, u.q))
            sim_wrong(s, "another body", u.q);
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
        lp1_head_put(n->head, &(struct lp1_unit){ .q = q, .k = 1, .n = 1 + mix(q, 5) % UNIT_BYTES, .c = (uint32_t)q,
                                                  .body = body_new(s, made(q)) });
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
        struct lp1_unit u = { .q = j.q, .e = j.e, .k = 1, .n = 1 + mix(j.q, 6) % UNIT_BYTES, .c = (uint32_t)j.q,
                              .body = body_new(s, j.value) };
        lp1_worker_result(n->worker, &u, s->now);
    }
    if (below(s, 2))
        lp1_worker_flush(n->worker, s->now);
    if (lp1_worker_fatal(n->worker, &status) && status == 100)
        sim_wrong(s, lp1_worker_fatal(n->worker, &status), 0);
    if (lp1_worker_finished(n->worker) || lp1_worker_fatal(n->worker, &status)) {
        n->left = true;
        node_end(s, n);
    }
}

void node_turn(struct sim *s, struct node *n)
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

void node_show(const struct node *n)
{
    static const char *const names[] = { "head", "tail", "hub", "worker" };
    const struct lp1_head *head = n->hub ? lp1_hub_head(n->hub) : n->head;
    const struct lp1_tail *tail = n->hub ? lp1_hub_tail(n->hub) : n->tail;
    printf("# %d %s, pool %d: %s", n->at, names[n->kind], n->pool, n->left ? "left" : n->alive ? "alive" : "dead");
    if (head) {
        struct lp1_head_state h;
        lp1_head_state(head, &h);
        printf("; head: tail %d base %llu pos %llu limit %llu commit %llu workers %zu slots %zu leased %zu", h.tail,
               (unsigned long long)h.base, (unsigned long long)h.pos, (unsigned long long)h.limit,
                   (unsigned long long)h.commit,
               h.workers, h.slots, h.leased);
    }
    if (tail) {
        struct lp1_tail_state t;
        lp1_tail_state(tail, &t);
        printf("; tail: head %d taken %llu next %llu limit %llu commit %llu workers %zu held %zu", t.head,
               (unsigned long long)t.taken, (unsigned long long)t.next, (unsigned long long)t.limit,
                   (unsigned long long)t.commit,
               t.workers, t.held);
    }
    if (n->worker) {
        struct lp1_worker_state w;
        lp1_worker_state(n->worker, &w);
        printf("; up %d %d running %zu offered %zu jobs %zu", w.up[0], w.up[1], w.running, w.offered, n->njob);
    }
    printf("\n");
}
