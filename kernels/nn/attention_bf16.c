/* kernels/nn/attention_bf16.c - attention in bfloat16, forward
 *
 * Keys and values are laid out once a head.  Then a task is a block of queries of
 * one head, and takes them six at a time against 2,048 keys: their scores fit the
 * first cache, so most rows see all their keys at once; where there are more, what
 * was summed is scaled as the largest score grows. */
#include "kernels/nn/attention_bf16.h"
#include "kernels/linalg/vec.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 48, SPAN = 2048, LAY = 256 };    /* queries a task; keys at once; keys laid out by a task */

bool attend_bf16_fits(const struct tape *t, const struct attend *j)
{
    return t->compute->bf16 && !(j->a.cap > 0) && !(j->a.dropout > 0) && j->d % 2 == 0 && j->d <= HEAD && j->t_q >= 8 * j->a.n;
}

size_t attend_at(const struct attend_run *r, size_t g, size_t kv)
{
    size_t keys = 0;
    for (size_t i = r->first; i < g; i++)
        keys += attend_keys(r->j->a.segment + i);
    return (keys * r->j->a.kv_heads + kv * attend_keys(r->j->a.segment + g)) * r->wide;
}

void attend_share(struct attend_run *r, size_t each)
{
    const struct attention *a = &r->j->a;
    size_t room = TEAM_SHARED / sizeof(uint16_t) / each / r->wide / a->kv_heads, keys = 0;
    for (r->until = r->first; r->until < a->n; r->until++) {
        keys += attend_keys(a->segment + r->until);
        if (keys > room && r->until > r->first)
            break;
    }
}

void lay_columns(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t ld, size_t rows, size_t cols)
{
    if (v.bf16)
        k->columns_bf16(to, v.bf16 + at, ld, rows, cols);
    else
        k->columns_f32(to, v.f32 + at, ld, rows, cols);
}

void lay_rows(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t ld, size_t rows, size_t cols)
{
    if (v.bf16)
        k->rows_bf16(to, v.bf16 + at, ld, rows, cols);
    else
        k->rows_f32(to, v.f32 + at, ld, rows, cols);
}

void lay_copy(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t cols)
{
    if (v.bf16)
        memcpy(to, v.bf16 + at, cols * sizeof *to);
    else
        k->from_f32(to, v.f32 + at, cols);
}

struct forward {
    struct attend_run r;
    uint16_t *k, *v;            /* panels over keys of pairs along features; over features of pairs along keys */
    size_t *first_lay, *first_task;             /* [segments + 1] */
};

static size_t segment_of(const size_t *first, size_t from, size_t task)
{
    while (task >= first[from + 1])
        from++;
    return from;
}

static void lay_task(void *ctx, size_t task, int worker)
{
    const struct forward *f = ctx;
    const struct attend *j = f->r.j;
    (void)worker;
    size_t at = segment_of(f->first_lay, f->r.first, task), in = task - f->first_lay[at];
    const struct attended *g = j->a.segment + at;
    size_t blocks = (g->n_k + LAY - 1) / LAY, kv = in / blocks, from = in % blocks * LAY;
    size_t to = from + LAY < g->n_k ? from + LAY : g->n_k, base = attend_at(&f->r, at, kv), keys = attend_keys(g);
    const struct pack *pack = f->r.k->pack;
    for (size_t n = from; n < to; n += PANEL)
        lay_columns(pack, f->k + base + n * j->d, j->k_values, (g->k + n) * j->ld_k + kv * j->d, j->ld_k,
                    to - n < PANEL ? to - n : PANEL, j->d);
    for (size_t c = 0; c < j->d; c += PANEL)
        lay_rows(pack, f->v + base + c * keys + from * PANEL, j->v_values, (g->k + from) * j->ld_k + kv * j->d + c, j->ld_k,
                 to - from, j->d - c < PANEL ? j->d - c : PANEL);
}

struct six {                    /* queries at work */
    size_t rows, q0;            /* in the segment */
    float max[SIX], sum[SIX];
    const uint16_t *q;
    float *s, *o;               /* [6, SPAN], [6, wide] */
    uint16_t *p;                /* [6, SPAN] */
};

/* Keys k0 ... k0 + n - 1 of a head; k0 is a multiple of 64. */
static void span_attend(const struct forward *f, const struct attended *g, struct six *x, size_t base, size_t k0, size_t n,
                        bool first)
{
    const struct attend *j = f->r.j;
    const struct kernels *k = f->r.k;
    size_t keys = attend_keys(g);
    for (size_t c = 0; c < n; c += PANEL)
        k->gemm_bf16_tile(x->rows, PANEL, j->d / 2, x->q, j->d, 2, f->k + base + (k0 + c) * j->d, x->s + c, SPAN, false, x->q);
    for (size_t i = 0; i < x->rows; i++) {
        size_t from, to, even = (n + 1) / 2 * 2;
        uint16_t *p = x->p + i * SPAN;
        attend_range(&j->a, g, x->q0 + i, &from, &to);
        from = from > k0 ? from - k0 : 0;
        to = to > k0 ? to - k0 : 0;
        to = to < n ? to : n;
        if (from >= to) {
            memset(p, 0, even * sizeof *p);
            continue;
        }
        float *s = x->s + i * SPAN + from, old = x->max[i], now = k->vec->max(s, to - from) * j->a.scale;
        x->max[i] = now > old ? now : old;
        memset(p, 0, from * sizeof *p);
        memset(p + to, 0, (even - to) * sizeof *p);
        float keep = old == -INFINITY ? 0 : expf(old - x->max[i]);
        x->sum[i] = x->sum[i] * keep + k->vec->attend(p + from, s, j->a.scale, x->max[i], to - from);
        for (size_t c = 0; c < j->d && !first && keep != 1; c++)
            x->o[i * f->r.wide + c] *= keep;
    }
    for (size_t c = 0; c < j->d; c += PANEL)
        k->gemm_bf16_tile(x->rows, j->d - c < PANEL ? j->d - c : PANEL, (n + 1) / 2, x->p, SPAN, 2,
                          f->v + base + c * keys + k0 * PANEL, x->o + c, f->r.wide, !first, x->p);
}

static void forward_task(void *ctx, size_t task, int worker)
{
    const struct forward *f = ctx;
    const struct attend *j = f->r.j;
    size_t at = segment_of(f->first_task, f->r.first, task), in = task - f->first_task[at];
    const struct attended *g = j->a.segment + at;
    size_t blocks = (g->n_q + BLOCK - 1) / BLOCK, head = in / blocks, q0 = in % blocks * BLOCK;
    size_t m = g->n_q - q0 < BLOCK ? g->n_q - q0 : BLOCK, base = attend_at(&f->r, at, head / (j->a.heads / j->a.kv_heads));
    float *s = team_scratch(f->r.team, worker), *o = s + SIX * SPAN;
    uint16_t *p = (uint16_t *)(void *)(o + SIX * f->r.wide), *q = p + SIX * SPAN;
    for (size_t i = 0; i < m; i++)
        lay_copy(f->r.k->pack, q + i * j->d, j->q_values, (g->q + q0 + i) * j->ld_q + head * j->d, j->d);
    for (size_t i = 0; i < m; i += SIX) {
        struct six x = { .rows = m - i < SIX ? m - i : SIX, .q0 = q0 + i, .q = q + i * j->d, .s = s, .o = o, .p = p };
        size_t from, to, unused;
        for (size_t r = 0; r < SIX; r++)
            x.max[r] = -INFINITY;
        attend_range(&j->a, g, x.q0, &from, &unused);
        attend_range(&j->a, g, x.q0 + x.rows - 1, &unused, &to);
        from = from / PANEL * PANEL;
        for (size_t k0 = from; k0 < to; k0 += SPAN)
            span_attend(f, g, &x, base, k0, to - k0 < SPAN ? to - k0 : SPAN, k0 == from);
        for (size_t r = 0; r < x.rows; r++) {
            size_t row = g->q + x.q0 + r;
            float share = x.sum[r] > 0 ? 1.0f / x.sum[r] : x.sum[r];    /* NaN stays; a query that sees nothing gives 0 */
            size_t to_row = row * j->ld_q + head * j->d;
            float *out = values_open(j->o_values, to_row, o + r * f->r.wide);
            for (size_t c = 0; c < j->d; c++)
                out[c] = from < to ? o[r * f->r.wide + c] * share : 0;
            values_close(f->r.k, j->o_values, to_row, j->d, out);
            if (j->lse)
                j->lse[head * j->t_q + row] = x.max[r] + logf(x.sum[r]);
        }
    }
}

void attend_bf16(struct tape *t, const struct attend *j)
{
    const struct attention *a = &j->a;
    struct forward f = { .r = { .j = j, .team = t->compute->team, .k = t->compute->k, .wide = (j->d + 63) / 64 * 64,
                                .shared = team_shared(t->compute->team) } };
    f.first_lay = tape_small(t, (a->n + 1) * sizeof *f.first_lay);
    f.first_task = tape_small(t, (a->n + 1) * sizeof *f.first_task);
    if (!tape_live(t))
        return;
    for (f.r.first = 0; f.r.first < a->n; f.r.first = f.r.until) {
        attend_share(&f.r, 2);
        f.first_lay[f.r.first] = f.first_task[f.r.first] = 0;
        for (size_t i = f.r.first; i < f.r.until; i++) {
            f.first_lay[i + 1] = f.first_lay[i] + a->kv_heads * ((a->segment[i].n_k + LAY - 1) / LAY);
            f.first_task[i + 1] = f.first_task[i] + a->heads * ((a->segment[i].n_q + BLOCK - 1) / BLOCK);
        }
        f.k = f.r.shared;
        f.v = f.k + attend_at(&f.r, f.r.until - 1, a->kv_heads);
        team_run(f.r.team, f.first_lay[f.r.until], lay_task, &f);
        team_run(f.r.team, f.first_task[f.r.until], forward_task, &f);
    }
}
