/* kernels/nn/attention/attention_bf16.c - attention in bfloat16, forward
 *
 * Keys and values are laid out once a head.  Then a task is a block of queries of
 * one head, and takes them six at a time against 2,048 keys, whose probabilities fit
 * the first cache.  Softmax is shifted not by a row's largest score, which is known
 * after all others, but by the largest of the first 64: any that is not far too low
 * does.  Where it is, the six are done again with the largest. */
#include "kernels/nn/attention/attention_bf16.h"
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/scores/scores.h"
#include "kernels/linalg/vec/vec.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 48, SPAN = 2048, LAY = 256 };    /* queries a task; keys at once; keys laid out by a task */

bool attend_bf16_fits(const struct tape *t, const struct attend *j)
{
    bool plain = !(j->a.cap > 0) && !(j->a.dropout > 0);
    return t->compute->bf16 && plain && j->d % 2 == 0 && j->d <= HEAD && j->t_q >= 8 * j->a.n;
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
    size_t q0;                  /* in the segment */
    size_t from, to;            /* keys that some of them see; from: a multiple of 64 */
    struct seen seen[SIX];      /* none, of rows that are not there */
    float shift[SIX], sum[SIX]; /* probabilities are exp(score - shift) / sum */
    const uint16_t *q;          /* [6, d] */
    float *o;                   /* [6, wide] */
    uint16_t *p;                /* [6, SPAN] */
};

/* What the rows see of n keys from k0 on. */
static void span_seen(const struct six *x, struct seen *seen, size_t k0, size_t n)
{
    for (size_t i = 0; i < SIX; i++)
        seen[i] = (struct seen){ x->seen[i].from > k0 ? x->seen[i].from - k0 : 0,
                                 x->seen[i].to > k0 ? least(x->seen[i].to - k0, n) : 0 };
}

/* o = sum of p v; `guess`: shift by the largest of the first 64 scores, which mostly does. */
static void six_attend(const struct forward *f, const struct attended *g, struct six *x, size_t base, bool guess)
{
    const struct attend *j = f->r.j;
    size_t keys = attend_keys(g);
    memset(x->sum, 0, sizeof x->sum);
    for (size_t k0 = x->from; k0 < x->to; k0 += SPAN) {
        struct seen seen[SIX];
        struct scores s = { .pairs = j->d / 2, .n = least(x->to - k0, SPAN), .q = x->q, .k = f->k + base + k0 * j->d,
                            .seen = seen, .scale = j->a.scale, .guess = guess && k0 == x->from, .shift = x->shift,
                            .sum = x->sum, .p = x->p, .ld = SPAN };
        span_seen(x, seen, k0, s.n);
        f->r.k->scores->forward(f->r.k, &s);
        for (size_t c = 0; c < j->d; c += PANEL)
            f->r.k->gemm_bf16_tile(SIX, least(j->d - c, PANEL), parts(s.n, 2), x->p, SPAN, 2,
                                   f->v + base + c * keys + k0 * PANEL, x->o + c, f->r.wide, k0 > x->from, x->p);
    }
}

/* Shifts that are the largest scores. */
static void six_shift(const struct forward *f, struct six *x, size_t base)
{
    const struct attend *j = f->r.j;
    float s[SIX * PANEL];
    for (size_t i = 0; i < SIX; i++)
        x->shift[i] = -INFINITY;
    for (size_t k0 = x->from; k0 < x->to; k0 += PANEL) {
        struct seen seen[SIX];
        span_seen(x, seen, k0, PANEL);
        f->r.k->gemm_bf16_tile(SIX, PANEL, j->d / 2, x->q, j->d, 2, f->k + base + k0 * j->d, s, PANEL, false, x->q);
        scores_hide(s, seen, 0);
        for (size_t i = 0; i < SIX; i++)
            x->shift[i] = fmaxf(x->shift[i], f->r.k->vec->max(s + i * PANEL, PANEL));
    }
    for (size_t i = 0; i < SIX; i++)
        x->shift[i] = scores_shift(x->shift[i], j->a.scale);
}

/* Far from the ends of float32: so the shifts were well guessed.  NaN is not. */
static bool sums_fit(const struct six *x)
{
    for (size_t i = 0; i < SIX; i++)
        if (x->seen[i].from < x->seen[i].to && !(x->sum[i] >= 1e-30f && x->sum[i] <= 1e30f))
            return false;
    return true;
}

static void forward_task(void *ctx, size_t task, int worker)
{
    const struct forward *f = ctx;
    const struct attend *j = f->r.j;
    size_t at = segment_of(f->first_task, f->r.first, task), in = task - f->first_task[at];
    const struct attended *g = j->a.segment + at;
    size_t blocks = parts(g->n_q, BLOCK), head = in / blocks, q0 = in % blocks * BLOCK;
    size_t m = least(g->n_q - q0, BLOCK), base = attend_at(&f->r, at, head / (j->a.heads / j->a.kv_heads));
    float *o = team_scratch(f->r.team, worker);
    uint16_t *p = (uint16_t *)(void *)(o + SIX * f->r.wide), *q = p + SIX * SPAN;
    for (size_t i = 0; i < m; i++)
        lay_copy(f->r.k->pack, q + i * j->d, j->q_values, (g->q + q0 + i) * j->ld_q + head * j->d, j->d);
    memset(q + m * j->d, 0, (round_to(m, SIX) - m) * j->d * sizeof *q);
    for (size_t i = 0; i < m; i += SIX) {
        struct six x = { .q0 = q0 + i, .q = q + i * j->d, .o = o, .p = p };
        size_t rows = least(m - i, SIX);
        for (size_t r = 0; r < rows; r++)
            attend_range(&j->a, g, x.q0 + r, &x.seen[r].from, &x.seen[r].to);
        x.from = x.seen[0].from / PANEL * PANEL;
        x.to = x.seen[rows - 1].to;
        six_attend(f, g, &x, base, true);
        if (!sums_fit(&x)) {
            six_shift(f, &x, base);
            six_attend(f, g, &x, base, false);
        }
        for (size_t r = 0; r < rows; r++) {     /* NaN stays; a query that sees nothing gives 0 */
            size_t row = g->q + x.q0 + r;
            float share = x.sum[r] > 0 ? 1.0f / x.sum[r] : x.sum[r];
            size_t to_row = row * j->ld_q + head * j->d;
            float *out = values_open(j->o_values, to_row, o + r * f->r.wide);
            for (size_t c = 0; c < j->d; c++)
                out[c] = x.from < x.to ? o[r * f->r.wide + c] * share : 0;
            values_close(f->r.k, j->o_values, to_row, j->d, out);
            if (j->lse)
                j->lse[head * j->t_q + row] = x.shift[r] + logf(x.sum[r]);
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
