/* kernels/nn/attention/attention_bf16_backward.c - attention in bfloat16, backward
 *
 * P = exp(S - lse);  dV += P^T dO;  dP = dO V^T;  D = sum(dO * O) per query;
 * dS = P (dP - D) scale;  dQ += dS K;  dK += dS^T Q.
 * Scores are computed transposed, 24 keys by a block of queries: then the rows of
 * P^T and dS^T are what dV and dK want, pairs along the queries; for dQ the dS of
 * 96 keys are kept in pairs along the keys as well.  A task is one key-value head of
 * one segment with all its query heads, so nobody else adds to what it writes; where
 * gradients are wanted rounded it adds them up in float32 first.  Where that makes few
 * tasks, each takes some of the query heads, and what several have of dk and dv is
 * added up at the end.
 * Queries, keys and values are copied before gradients are written where they are. */
#include "kernels/nn/attention/attention_bf16.h"
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/scores/scores.h"
#include "kernels/linalg/vec/vec.h"

#include <string.h>

enum { GROUP = 24, CHUNK = 96, LAY = 256, MOST = 32768 };       /* keys, keys, keys, queries * features */
enum { AHEAD = 16 };            /* rows */

/* Rows of a head lie far from each other, so what only passes once is asked for ahead. */
static inline void row_ask(struct values v, size_t at, size_t n)
{
    for (size_t c = 0; v.bf16 && c < n; c += 32)
        __builtin_prefetch(v.bf16 + at + c);
}

struct backward {
    struct attend_run r;
    uint16_t *k, *v, *k_panels; /* rows, rows; panels over features of pairs along keys */
    size_t block;               /* queries at once */
    const size_t *order;        /* of segments: the most work first, so that threads end together */
    size_t shares;              /* tasks of a key-value head */
    float *sums;                /* if several: of a head at shares * 2 * attend_at, [shares][dk, dv][keys, d] */
};

enum { TASKS = 16 };            /* or more, where query heads can be shared out */

/* What a task does: query heads head ... last - 1 of key-value head kv of segment g. */
struct part {
    const struct attended *g;
    size_t kv, base, head, last;
    float *sums;                /* if shared: of dk; after those of dv */
};

static struct part part_of(const struct backward *b, size_t task)
{
    const struct attention *a = &b->r.j->a;
    size_t share = task % b->shares, group = a->heads / a->kv_heads, kv = task / b->shares % a->kv_heads;
    size_t at = b->order[b->r.first + task / b->shares / a->kv_heads];
    struct part p = { .g = a->segment + at, .kv = kv, .base = attend_at(&b->r, at, kv) };
    p.head = kv * group + share * group / b->shares;
    p.last = kv * group + (share + 1) * group / b->shares;
    if (b->sums)
        p.sums = b->sums + 2 * (b->shares * p.base + share * p.g->n_k * b->r.j->d);
    return p;
}

struct block {                  /* queries q0 ... q0 + n - 1 of a head, in this worker's scratch */
    size_t q0, n, padded;
    uint16_t *q_columns, *q_rows, *do_columns, *do_rows;
    size_t group;               /* keys at once: 24, or more of few queries */
    uint16_t *p, *ds, *turned;  /* [group, padded] twice; for each 64 queries [48 pairs of keys, 64] */
    float *dq, *dot, *lse;
    float *dk, *dv;             /* of the segment's first key, or NULL: not wanted */
    size_t ld_dk, ld_dv;
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
        if (i + AHEAD < g->n_k) {
            row_ask(j->k_values, from + (i + AHEAD) * j->ld_k, j->d);
            row_ask(j->v_values, from + (i + AHEAD) * j->ld_k, j->d);
        }
        lay_copy(pack, b->k + base + i * j->d, j->k_values, from + i * j->ld_k, j->d);
        lay_copy(pack, b->v + base + i * j->d, j->v_values, from + i * j->ld_k, j->d);
    }
    memset(b->k + base + g->n_k * j->d, 0, (keys - g->n_k) * j->d * sizeof *b->k);     /* keys are taken by sixes */
    memset(b->v + base + g->n_k * j->d, 0, (keys - g->n_k) * j->d * sizeof *b->v);
    for (size_t c = 0; c < j->d; c += PANEL)
        lay_rows(pack, b->k_panels + base + c * keys, j->k_values, from + c, j->ld_k, g->n_k, least(j->d - c, PANEL));
}

/* What a query's scores have in common: its result times that result's gradient. */
static float query_dot(const struct backward *b, size_t at, bool more)
{
    const struct attend *j = b->r.j;
    const struct vec *vec = b->r.k->vec;
    const uint16_t *d_o = j->d_o_values.bf16, *o = j->o_values.bf16;
    float room[2][HEAD];
    if (!d_o || !o)
        return vec->dot(values_read(b->r.k, j->d_o_values, at, j->d, room[0]),
                        values_read(b->r.k, j->o_values, at, j->d, room[1]), j->d);
    if (more)
        row_ask(j->o_values, at + AHEAD * j->ld_q, j->d);
    return vec->dot_half(d_o + at, o + at, j->d);
}

/* Queries and the gradients of their results, both ways. */
static void block_lay(const struct backward *b, const struct attended *g, size_t head, struct block *x)
{
    const struct attend *j = b->r.j;
    const struct pack *pack = b->r.k->pack;
    size_t at = (g->q + x->q0) * j->ld_q + head * j->d;
    for (size_t i = 0; i < x->n; i += PANEL) {
        size_t some = least(x->n - i, PANEL);
        lay_columns(pack, x->q_columns + i * j->d, j->q_values, at + i * j->ld_q, j->ld_q, some, j->d);
        lay_columns(pack, x->do_columns + i * j->d, j->d_o_values, at + i * j->ld_q, j->ld_q, some, j->d);
    }
    for (size_t c = 0; c < j->d; c += PANEL) {
        size_t some = least(j->d - c, PANEL);
        lay_rows(pack, x->q_rows + c * x->padded, j->q_values, at + c, j->ld_q, x->n, some);
        lay_rows(pack, x->do_rows + c * x->padded, j->d_o_values, at + c, j->ld_q, x->n, some);
    }
    for (size_t i = 0; i < x->n; i++)
        x->dot[i] = query_dot(b, at + i * j->ld_q, i + AHEAD < x->n);
    for (size_t i = 0; i < x->padded; i++) {
        float lse = i < x->n ? j->lse[head * j->t_q + g->q + x->q0 + i] : INFINITY;
        x->lse[i] = lse == -INFINITY ? INFINITY : lse;
        x->dot[i] = i < x->n ? x->dot[i] : 0;
    }
}

/* Queries of the block that see key. */
static struct seen queries_of(const struct attention *a, const struct attended *g, const struct block *x, size_t key)
{
    size_t behind = g->n_k - g->n_q;            /* a query i stands at key i + behind; unused unless it fits */
    struct seen seen = { 0, x->n };
    if (a->causal) {
        size_t first = key > behind ? key - behind : 0;
        seen.from = first > x->q0 ? least(first - x->q0, x->n) : 0;
    }
    if (a->window) {
        size_t end = key + a->window + g->n_q;  /* the first i + n_k that does not see it */
        end = end > g->n_k ? end - g->n_k : 0;
        seen.to = end > x->q0 ? least(end - x->q0, x->n) : 0;
    }
    return seen;
}

/* Keys k0 ... k0 + m - 1 (96 at most), whose dS are rows `row` of the chunk on. */
static void group_backward(const struct backward *b, const struct attended *g, const struct block *x, size_t base, size_t k0,
                           size_t m, size_t row)
{
    const struct attend *j = b->r.j;
    size_t pairs = parts(x->n, 2);
    struct seen seen[CHUNK] = { { 0, 0 } };
    struct scores_back s = { .rows = round_to(m, SIX), .pairs = j->d / 2, .n = x->padded, .k = b->k + base + k0 * j->d,
                             .v = b->v + base + k0 * j->d, .q = x->q_columns, .d_o = x->do_columns, .lse = x->lse,
                             .dot = x->dot, .seen = seen, .scale = j->a.scale, .p = x->p, .ds = x->ds, .ld = x->padded,
                             .turned = x->turned + row * PANEL, .panel = CHUNK * PANEL };
    for (size_t i = 0; i < m; i++)
        seen[i] = queries_of(&j->a, g, x, k0 + i);
    b->r.k->scores->backward(b->r.k, &s);
    struct spread a = { .a = x->p, .row = x->padded, .pair = 2, .tile = SIX * x->padded };
    if (x->dv)
        gemm_bf16_block(b->r.k, m, j->d, pairs, &a, x->do_rows, PANEL * x->padded, x->dv + k0 * x->ld_dv, x->ld_dv,
                        true, NULL);
    a.a = x->ds;
    if (x->dk)
        gemm_bf16_block(b->r.k, m, j->d, pairs, &a, x->q_rows, PANEL * x->padded, x->dk + k0 * x->ld_dk, x->ld_dk,
                        true, NULL);
}

/* dQ (+)= dS K over keys k0 ... k0 + m - 1 (96 at most), k0 even. */
static void chunk_queries(const struct backward *b, const struct attended *g, const struct block *x, size_t base, size_t k0,
                          size_t m, bool add)
{
    struct spread a = { .a = x->turned, .row = 2, .pair = 2 * PANEL, .tile = 2 * SIX };
    for (size_t i = 0; i < x->n; i += PANEL, a.a += CHUNK * PANEL)
        gemm_bf16_block(b->r.k, least(x->n - i, PANEL), b->r.j->d, parts(m, 2), &a, b->k_panels + base + k0 * PANEL,
                        attend_keys(g) * PANEL, x->dq + i * b->r.wide, b->r.wide, add, NULL);
}

static void block_backward(const struct backward *b, const struct attended *g, size_t head, struct block *x, size_t base)
{
    const struct attend *j = b->r.j;
    bool wants_q = j->dq || j->dq_half;
    size_t from, to, unused;
    attend_range(&j->a, g, x->q0, &from, &unused);
    attend_range(&j->a, g, x->q0 + x->n - 1, &unused, &to);
    from = from / 2 * 2;
    if (from < to)
        block_lay(b, g, head, x);
    else
        memset(x->dq, 0, x->n * b->r.wide * sizeof *x->dq);
    for (size_t k0 = from; k0 < to; k0 += CHUNK) {
        size_t m = least(to - k0, CHUNK);
        for (size_t i = 0; i < m; i += x->group)
            group_backward(b, g, x, base, k0 + i, least(m - i, x->group), i);
        if (wants_q)
            chunk_queries(b, g, x, base, k0, m, k0 > from);
    }
    for (size_t i = 0; wants_q && i < x->n; i++) {
        size_t at = (g->q + x->q0 + i) * j->ld_q + head * j->d;
        if (j->dq_half)
            b->r.k->pack->from_f32(j->dq_half + at, x->dq + i * b->r.wide, j->d);
        else
            b->r.k->vec->add(j->dq + at, j->dq + at, x->dq + i * b->r.wide, j->d);
    }
}

/* Where a task adds up dk or dv: float32 in its place, or in memory of its own until it is rounded. */
static float *sums_open(float *whole, uint16_t *half, size_t at, float **own, size_t bytes)
{
    if (!half)
        return whole ? whole + at : NULL;
    float *sums = memset(*own, 0, bytes);
    *own += bytes / sizeof *sums;
    return sums;
}

static void sums_close(const struct backward *b, uint16_t *half, size_t at, const float *sums, size_t rows)
{
    const struct attend *j = b->r.j;
    for (size_t i = 0; half && i < rows; i++)
        b->r.k->pack->from_f32(half + at + i * j->ld_k, sums + i * j->d, j->d);
}

/* Cuts a worker's memory; returns what is left. */
static float *block_memory(struct block *x, size_t most, size_t each, uint16_t *own)
{
    *x = (struct block){ .q_columns = own, .q_rows = own + each, .do_columns = own + 2 * each, .do_rows = own + 3 * each };
    x->p = own + 4 * each;
    x->ds = x->p + GROUP * most;
    x->turned = x->ds + GROUP * most;
    x->dq = (float *)(void *)(x->turned + CHUNK * most);
    x->dot = x->dq + each;
    x->lse = x->dot + most;
    return x->lse + most;
}

static size_t block_size(size_t wide) { return least(512, MOST / wide / PANEL * PANEL); }

bool attend_bf16_rounds(const struct attend *j, size_t t_q, size_t t_k)
{
    size_t wide = round_to(j->d, PANEL), most = block_size(wide), each = most * wide, q = 0, k = 0, keys = 0;
    size_t used = 2 * (4 * each + 2 * GROUP * most + CHUNK * most) + 4 * (each + 2 * most);
    for (size_t i = 0; i < j->a.n; i++) {
        const struct attended *g = j->a.segment + i;
        if (g->q != q || g->k != k)
            return false;
        q += g->n_q;
        k += g->n_k;
        keys = g->n_k > keys ? g->n_k : keys;
    }
    return q == t_q && k == t_k && keys <= (TEAM_SCRATCH - used) / (2 * sizeof(float)) / j->d;
}

static void backward_task(void *ctx, size_t task, int worker)
{
    const struct backward *b = ctx;
    const struct attend *j = b->r.j;
    const struct part p = part_of(b, task);
    size_t most = b->block, each = most * b->r.wide;
    size_t at_k = p.g->k * j->ld_k + p.kv * j->d, bytes = p.g->n_k * j->d * sizeof(float);
    struct block x;
    float *room = block_memory(&x, most, each, team_scratch(b->r.team, worker));
    x.ld_dk = j->dk_half || p.sums ? j->d : j->ld_k;
    x.ld_dv = j->dv_half || p.sums ? j->d : j->ld_k;
    if (p.sums) {
        memset(p.sums, 0, 2 * bytes);
        x.dk = j->dk || j->dk_half ? p.sums : NULL;
        x.dv = j->dv || j->dv_half ? p.sums + p.g->n_k * j->d : NULL;
    } else {
        x.dk = sums_open(j->dk, j->dk_half, at_k, &room, bytes);
        x.dv = sums_open(j->dv, j->dv_half, at_k, &room, bytes);
    }
    for (size_t head = p.head; head < p.last; head++)
        for (x.q0 = 0; x.q0 < p.g->n_q; x.q0 += most) {
            x.n = least(p.g->n_q - x.q0, most);
            x.padded = round_to(x.n, PANEL);
            x.group = least(most / x.padded * GROUP, CHUNK);
            block_backward(b, p.g, head, &x, p.base);
        }
    if (!p.sums) {
        sums_close(b, j->dk_half, at_k, x.dk, p.g->n_k);
        sums_close(b, j->dv_half, at_k, x.dv, p.g->n_k);
    }
}

/* One key-value head's dk and dv from those of its tasks, in order. */
static void sum_task(void *ctx, size_t task, int worker)
{
    const struct backward *b = ctx;
    const struct attend *j = b->r.j;
    const struct vec *vec = b->r.k->vec;
    const struct part p = part_of(b, task * b->shares);
    size_t at_k = p.g->k * j->ld_k + p.kv * j->d, n = p.g->n_k * j->d;
    (void)worker;
    for (size_t s = 1; s < b->shares; s++)
        vec->add(p.sums, p.sums, p.sums + 2 * s * n, 2 * n);
    sums_close(b, j->dk_half, at_k, p.sums, p.g->n_k);
    sums_close(b, j->dv_half, at_k, p.sums + n, p.g->n_k);
    for (size_t i = 0; i < p.g->n_k; i++) {
        size_t at = at_k + i * j->ld_k;
        if (j->dk)
            vec->add(j->dk + at, j->dk + at, p.sums + i * j->d, j->d);
        if (j->dv)
            vec->add(j->dv + at, j->dv + at, p.sums + n + i * j->d, j->d);
    }
}

/* Segments first ... until - 1, the longest first. */
static void order_make(const struct attend_run *r, size_t *order)
{
    const struct attended *s = r->j->a.segment;
    for (size_t i = r->first; i < r->until; i++) {
        size_t at = i;
        for (; at > r->first && s[order[at - 1]].n_q * s[order[at - 1]].n_k < s[i].n_q * s[i].n_k; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* By shape alone, so that the bits do not depend on the number of threads. */
static void share_out(struct backward *b)
{
    const struct attention *a = &b->r.j->a;
    size_t keys = attend_at(&b->r, b->r.until - 1, a->kv_heads), tasks = (b->r.until - b->r.first) * a->kv_heads;
    b->k = b->r.shared;
    b->v = b->k + keys;
    b->k_panels = b->v + keys;
    b->shares = least(parts(TASKS, tasks), a->heads / a->kv_heads);
    b->sums = (float *)(void *)(b->k_panels + keys);
    if (b->shares < 2 || (3 * sizeof *b->k + 2 * b->shares * sizeof *b->sums) * keys > TEAM_SHARED) {
        b->shares = 1;
        b->sums = NULL;
    }
}

void attend_bf16_backward(struct tape *t, const struct attend *j)
{
    const struct attention *a = &j->a;
    struct backward b = { .r = { .j = j, .team = t->compute->team, .k = t->compute->k, .wide = round_to(j->d, PANEL),
                                 .shared = team_shared(t->compute->team) } };
    size_t *order = tape_small(t, a->n * sizeof *order);
    b.order = order;
    b.block = block_size(b.r.wide);
    for (b.r.first = 0; b.r.first < a->n && tape_live(t); b.r.first = b.r.until) {
        attend_share(&b.r, 3);
        order_make(&b.r, order);
        share_out(&b);
        size_t heads = (b.r.until - b.r.first) * a->kv_heads;
        team_run(b.r.team, heads, lay_task, &b);
        team_run(b.r.team, heads * b.shares, backward_task, &b);
        if (b.sums)
            team_run(b.r.team, heads, sum_task, &b);
    }
}
