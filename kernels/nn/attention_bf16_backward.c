/* kernels/nn/attention_bf16_backward.c - attention in bfloat16, backward
 *
 * P = exp(S - lse);  dV += P^T dO;  dP = dO V^T;  D = sum(dO * O) per query;
 * dS = P (dP - D) scale;  dQ += dS K;  dK += dS^T Q.
 * Scores are computed transposed, 24 keys by a block of queries: then the rows of
 * P^T and dS^T are what dV and dK want, pairs along the queries; for dQ the dS^T
 * of 96 keys are laid out in sixes.  A task is one key-value head of one segment
 * with all its query heads, so nobody else adds to what it writes. */
#include "kernels/nn/attention_bf16.h"
#include "kernels/linalg/gemm_bf16.h"
#include "kernels/linalg/vec.h"

#include <string.h>

enum { GROUP = 24, CHUNK = 96, LAY = 256, MOST = 32768 };       /* keys, keys, keys, queries * features */

struct backward {
    struct attend_run r;
    uint16_t *k, *v, *k_panels; /* rows, rows; panels over features of pairs along keys */
    size_t block;               /* queries at once */
};

struct block {                  /* queries q0 ... q0 + n - 1 of a head, in this worker's scratch */
    size_t q0, n, padded;
    uint16_t *q_columns, *q_rows, *do_columns, *do_rows;
    uint16_t *p, *ds, *sixes;
    float *s, *dp, *dq, *dot;
    const float *lse;
};

static void lay_task(void *ctx, size_t task, int worker)
{
    const struct backward *b = ctx;
    const struct attend *j = b->r.j;
    (void)worker;
    size_t at = b->r.first + task / j->a.kv_heads, kv = task % j->a.kv_heads;
    const struct attended *g = j->a.segment + at;
    size_t base = attend_at(&b->r, at, kv), keys = attend_keys(g);
    size_t from = g->k * j->ld_k + kv * j->d;
    const struct pack *pack = b->r.k->pack;
    for (size_t i = 0; i < g->n_k; i++) {
        lay_copy(pack, b->k + base + i * j->d, j->k_values, from + i * j->ld_k, j->d);
        lay_copy(pack, b->v + base + i * j->d, j->v_values, from + i * j->ld_k, j->d);
    }
    for (size_t c = 0; c < j->d; c += PANEL)
        lay_rows(pack, b->k_panels + base + c * keys, j->k_values, from + c, j->ld_k, g->n_k, least(j->d - c, PANEL));
}

/* Queries and the gradients of their results, both ways. */
static void block_lay(const struct backward *b, const struct attended *g, size_t head, struct block *x)
{
    const struct attend *j = b->r.j;
    const struct pack *pack = b->r.k->pack;
    size_t at = (g->q + x->q0) * j->ld_q + head * j->d;
    const float *d_o = j->d_o + at;
    float room[HEAD];
    for (size_t i = 0; i < x->n; i += PANEL) {
        size_t some = least(x->n - i, PANEL);
        lay_columns(pack, x->q_columns + i * j->d, j->q_values, at + i * j->ld_q, j->ld_q, some, j->d);
        pack->columns_f32(x->do_columns + i * j->d, d_o + i * j->ld_q, j->ld_q, some, j->d);
    }
    for (size_t c = 0; c < j->d; c += PANEL) {
        size_t some = least(j->d - c, PANEL);
        lay_rows(pack, x->q_rows + c * x->padded, j->q_values, at + c, j->ld_q, x->n, some);
        pack->rows_f32(x->do_rows + c * x->padded, d_o + c, j->ld_q, x->n, some);
    }
    for (size_t i = 0; i < x->n; i++)
        x->dot[i] = b->r.k->vec->dot(d_o + i * j->ld_q, values_read(b->r.k, j->o_values, at + i * j->ld_q, j->d, room), j->d);
    x->lse = j->lse + head * j->t_q + g->q + x->q0;
}

/* Queries of the block that see key: [*from, *to) of it. */
static void queries_of(const struct attention *a, const struct attended *g, const struct block *x, size_t key,
                       size_t *from, size_t *to)
{
    size_t behind = g->n_k - g->n_q;            /* a query i stands at key i + behind; unused unless it fits */
    *from = 0;
    *to = x->n;
    if (a->causal) {
        size_t first = key > behind ? key - behind : 0;
        *from = first > x->q0 ? least(first - x->q0, x->n) : 0;
    }
    if (a->window) {
        size_t end = key + a->window + g->n_q;  /* the first i + n_k that does not see it */
        end = end > g->n_k ? end - g->n_k : 0;
        *to = end > x->q0 ? least(end - x->q0, x->n) : 0;
    }
}

/* Keys k0 ... k0 + m - 1 (24 at most), whose dS^T is row `row` of the chunk on. */
static void group_backward(const struct backward *b, const struct attended *g, size_t kv, const struct block *x, size_t base,
                           size_t k0, size_t m, size_t row)
{
    const struct attend *j = b->r.j;
    const struct kernels *k = b->r.k;
    size_t pairs = parts(x->n, 2), even = 2 * pairs;
    struct spread a = { .row = j->d, .pair = 2, .tile = SIX * j->d };
    uint16_t *ds = x->ds + row * x->padded;
    a.a = b->k + base + k0 * j->d;
    gemm_bf16_block(k, m, x->padded, j->d / 2, &a, x->q_columns, PANEL * j->d, x->s, x->padded, false);
    a.a = b->v + base + k0 * j->d;
    gemm_bf16_block(k, m, x->padded, j->d / 2, &a, x->do_columns, PANEL * j->d, x->dp, x->padded, false);
    for (size_t i = 0; i < m; i++) {
        size_t from, to, at = i * x->padded;
        queries_of(&j->a, g, x, k0 + i, &from, &to);
        if (from > to)
            from = to;
        memset(x->p + at, 0, from * sizeof *x->p);
        memset(ds + at, 0, from * sizeof *ds);
        memset(x->p + at + to, 0, (even - to) * sizeof *x->p);
        memset(ds + at + to, 0, (even - to) * sizeof *ds);
        k->vec->attend_back(x->p + at + from, ds + at + from, x->s + at + from, x->dp + at + from, x->lse + from,
                            x->dot + from, j->a.scale, to - from);
    }
    size_t to = (g->k + k0) * j->ld_k + kv * j->d;
    a = (struct spread){ .row = x->padded, .pair = 2, .tile = SIX * x->padded };
    if (j->dv) {
        a.a = x->p;
        gemm_bf16_block(k, m, j->d, pairs, &a, x->do_rows, PANEL * x->padded, j->dv + to, j->ld_k, true);
    }
    if (j->dk) {
        a.a = ds;
        gemm_bf16_block(k, m, j->d, pairs, &a, x->q_rows, PANEL * x->padded, j->dk + to, j->ld_k, true);
    }
}

/* dQ (+)= dS K over keys k0 ... k0 + m - 1 (96 at most), k0 even. */
static void chunk_queries(const struct backward *b, const struct attended *g, const struct block *x, size_t base, size_t k0,
                          size_t m, bool add)
{
    enum { STRIDE = CHUNK * SIX };
    const struct attend *j = b->r.j;
    struct spread a = { .a = x->sixes, .row = 2, .pair = 2 * SIX, .tile = STRIDE };
    for (size_t i = 0; i < x->n; i += SIX * SIXES)
        b->r.k->pack->six_bf16(x->sixes + i / SIX * STRIDE, STRIDE, x->ds + i, x->padded, m, least(x->n - i, SIX * SIXES));
    gemm_bf16_block(b->r.k, x->n, j->d, parts(m, 2), &a, b->k_panels + base + k0 * PANEL, attend_keys(g) * PANEL, x->dq,
                    b->r.wide, add);
}

static void block_backward(const struct backward *b, const struct attended *g, size_t kv, size_t head, struct block *x,
                           size_t base)
{
    const struct attend *j = b->r.j;
    size_t from, to, unused;
    attend_range(&j->a, g, x->q0, &from, &unused);
    attend_range(&j->a, g, x->q0 + x->n - 1, &unused, &to);
    from = from / 2 * 2;
    if (from >= to)
        return;
    block_lay(b, g, head, x);
    for (size_t k0 = from; k0 < to; k0 += CHUNK) {
        size_t m = least(to - k0, CHUNK);
        for (size_t i = 0; i < m; i += GROUP)
            group_backward(b, g, kv, x, base, k0 + i, least(m - i, GROUP), i);
        if (j->dq)
            chunk_queries(b, g, x, base, k0, m, k0 > from);
    }
    for (size_t i = 0; j->dq && i < x->n; i++) {
        float *to_q = j->dq + (g->q + x->q0 + i) * j->ld_q + head * j->d;
        b->r.k->vec->add(to_q, to_q, x->dq + i * b->r.wide, j->d);
    }
}

static void backward_task(void *ctx, size_t task, int worker)
{
    const struct backward *b = ctx;
    const struct attend *j = b->r.j;
    size_t at = b->r.first + task / j->a.kv_heads, kv = task % j->a.kv_heads, group = j->a.heads / j->a.kv_heads;
    const struct attended *g = j->a.segment + at;
    size_t most = b->block, each = most * b->r.wide, base = attend_at(&b->r, at, kv);
    uint16_t *own = team_scratch(b->r.team, worker);
    struct block x = { .q_columns = own, .q_rows = own + each, .do_columns = own + 2 * each, .do_rows = own + 3 * each };
    x.p = own + 4 * each;
    x.ds = x.p + GROUP * most;
    x.sixes = x.ds + CHUNK * most;
    x.s = (float *)(void *)(x.sixes + round_to(most, SIX * SIXES) * CHUNK);
    x.dp = x.s + GROUP * most;
    x.dq = x.dp + GROUP * most;
    x.dot = x.dq + each;
    for (size_t head = kv * group; head < (kv + 1) * group; head++)
        for (x.q0 = 0; x.q0 < g->n_q; x.q0 += most) {
            x.n = least(g->n_q - x.q0, most);
            x.padded = round_to(x.n, PANEL);
            block_backward(b, g, kv, head, &x, base);
        }
}

void attend_bf16_backward(struct tape *t, const struct attend *j)
{
    const struct attention *a = &j->a;
    struct backward b = { .r = { .j = j, .team = t->compute->team, .k = t->compute->k, .wide = round_to(j->d, PANEL),
                                 .shared = team_shared(t->compute->team) } };
    b.block = least(512, MOST / b.r.wide / PANEL * PANEL);
    for (b.r.first = 0; b.r.first < a->n && tape_live(t); b.r.first = b.r.until) {
        attend_share(&b.r, 3);
        size_t each = attend_at(&b.r, b.r.until - 1, a->kv_heads);
        b.k = b.r.shared;
        b.v = b.k + each;
        b.k_panels = b.v + each;
        size_t tasks = (b.r.until - b.r.first) * a->kv_heads;
        team_run(b.r.team, tasks, lay_task, &b);
        team_run(b.r.team, tasks, backward_task, &b);
    }
}
