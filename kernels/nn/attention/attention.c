/* kernels/nn/attention/attention.c - attention, forward; the backward is in attention_backward.c
 *
 * A task is a block of queries of one head; it walks the keys in blocks and keeps
 * for each query the largest score m, the sum l of exp(score - m), and the weighted
 * values so far; a larger m scales what was there by exp(old m - m). */
#include "kernels/nn/attention/attention.h"
#include "kernels/linalg/vec/vec.h"
#include "kernels/linalg/vec/vmath.h"
#include "kernels/nn/attention/attention_backward.h"
#include "kernels/nn/attention/attention_bf16.h"
#include "kernels/nn/ops/dropout.h"
#include "kernels/nn/random.h"

#include <math.h>

void attend_range(const struct attention *a, const struct attended *s, size_t i, size_t *from, size_t *to)
{
    size_t at = s->n_k + i;                     /* the key it stands at, + n_q, so that it stays positive */
    *from = a->window && at + 1 > a->window + s->n_q ? at + 1 - a->window - s->n_q : 0;
    *to = a->causal ? at + 1 - s->n_q : s->n_k;
}

void attend_scores(const struct attend *j, const struct attended *g, size_t head, size_t q0, size_t m, size_t k0,
                   size_t n, float *s)
{
    const struct attention *a = &j->a;
    size_t kv = head / (a->heads / a->kv_heads);
    j->kernels->gemm_f32_tile(false, true, m, n, j->d, j->q + (g->q + q0) * j->ld_q + head * j->d, j->ld_q,
                              j->k + (g->k + k0) * j->ld_k + kv * j->d, j->ld_k, 0, s, n);
    for (size_t i = 0; i < m; i++) {
        float *row = s + i * n;
        for (size_t c = 0; c < n; c++)
            row[c] *= a->scale;
        if (a->cap > 0)
            j->kernels->vec->cap(row, row, a->cap, n);
        size_t from, to;
        attend_range(a, g, q0 + i, &from, &to);
        for (size_t c = 0; c < n && k0 + c < from; c++)
            row[c] = -INFINITY;
        for (size_t c = to > k0 ? to - k0 : 0; c < n; c++)
            row[c] = -INFINITY;
    }
}

void attend_drop(const struct attend *j, const struct attended *g, size_t head, size_t q0, size_t m, size_t k0,
                 size_t n, float *p)
{
    float rate = j->a.dropout, scale = 1.0f / (1.0f - rate);
    for (size_t i = 0; i < m; i++) {
        uint64_t key = random_key(j->key, head * j->t_q + g->q + q0 + i);
        for (size_t c = 0; c < n; c++)
            p[i * n + c] *= random_uniform(key, k0 + c) < rate ? 0.0f : scale;
    }
}

static void forward_task(void *ctx, size_t task, int worker)
{
    const struct attend *j = ctx;
    const struct attention *a = &j->a;
    size_t g_at = 0;
    while (task >= j->first_task[g_at + 1])
        g_at++;
    const struct attended *g = a->segment + g_at;
    size_t blocks = (g->n_q + QUERIES - 1) / QUERIES, in = task - j->first_task[g_at];
    size_t head = in / blocks, q0 = in % blocks * QUERIES, kv = head / (a->heads / a->kv_heads);
    size_t m = g->n_q - q0 < QUERIES ? g->n_q - q0 : QUERIES;
    float *s = j->scratch + (size_t)worker * j->scratch_each;
    float *out = j->out + (g->q + q0) * j->ld_q + head * j->d;
    float max[QUERIES], sum[QUERIES];
    for (size_t i = 0; i < m; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    size_t from, to, unused;
    attend_range(a, g, q0, &from, &unused);
    attend_range(a, g, q0 + m - 1, &unused, &to);
    bool first = true;
    for (size_t k0 = from; k0 < to; k0 += KEYS) {
        size_t n = to - k0 < KEYS ? to - k0 : KEYS;
        attend_scores(j, g, head, q0, m, k0, n, s);
        for (size_t i = 0; i < m; i++) {
            float *row = s + i * n, old = max[i];
            max[i] = fmaxf(old, j->kernels->vec->max(row, n));
            if (max[i] == -INFINITY) {          /* nothing seen in this block yet */
                for (size_t c = 0; c < n; c++)
                    row[c] = 0;
                continue;
            }
            float keep = exp_f32(old - max[i]);
            sum[i] = sum[i] * keep + j->kernels->vec->exp_sum(row, row, 1, max[i], n);
            if (!first && keep != 1.0f)
                for (size_t c = 0; c < j->d; c++)
                    out[i * j->ld_q + c] *= keep;
        }
        if (a->dropout > 0)
            attend_drop(j, g, head, q0, m, k0, n, s);
        j->kernels->gemm_f32_tile(false, false, m, j->d, n, s, n, j->v + (g->k + k0) * j->ld_k + kv * j->d, j->ld_k,
                                  first ? 0 : 1, out, j->ld_q);
        first = false;
    }
    for (size_t i = 0; i < m; i++) {
        float share = sum[i] > 0 ? 1.0f / sum[i] : sum[i];      /* NaN stays; a query that sees nothing gives 0 */
        for (size_t c = 0; c < j->d; c++)
            out[i * j->ld_q + c] = first ? 0 : out[i * j->ld_q + c] * share;
        if (j->lse)
            j->lse[head * j->t_q + g->q + q0 + i] = max[i] + logf(sum[i]);
    }
}

static bool attention_fits(struct tape *t, const struct tensor *q, const struct tensor *k, const struct tensor *v,
                           const struct attention *a)
{
    bool fits = !t->failed && a->heads && a->kv_heads && a->heads % a->kv_heads == 0 && q->cols % a->heads == 0 &&
                k->cols == q->cols / a->heads * a->kv_heads && v->cols == k->cols && v->rows == k->rows;
    for (size_t i = 0; i < a->n && fits; i++) {
        const struct attended *s = a->segment + i;
        fits = s->q + s->n_q <= q->rows && s->k + s->n_k <= k->rows && (!a->causal || s->n_q <= s->n_k);
    }
    if (!fits && !t->failed)
        tape_fail(t, "attention of %zu heads on %zu over %zu x %zu and %zu x %zu", a->heads, a->kv_heads, q->rows, q->cols,
                  k->rows, k->cols);
    return fits && !t->failed;
}

void attend_widen(struct tape *t, struct attend *j, const struct tensor *q, const struct tensor *k, const struct tensor *v)
{
    j->q = tensor_wide(t, q);
    j->k = tensor_wide(t, k);
    j->v = tensor_wide(t, v);
}

void attend_widen_end(struct tape *t, struct attend *j, const struct tensor *q, const struct tensor *k,
                      const struct tensor *v)
{
    tensor_wide_give(t, v, (float *)(uintptr_t)j->v);
    tensor_wide_give(t, k, (float *)(uintptr_t)j->k);
    tensor_wide_give(t, q, (float *)(uintptr_t)j->q);
}

struct tensor *tape_attention(struct tape *t, struct tensor *q, struct tensor *k, struct tensor *v,
                              const struct attention *a)
{
    if (!attention_fits(t, q, k, v, a))
        return tensor_make(t, 0, 0);
    struct attend j = { .a = *a, .d = q->cols / a->heads, .ld_q = q->cols, .ld_k = k->cols, .t_q = q->rows,
                        .q_values = tensor_values(q), .k_values = tensor_values(k), .v_values = tensor_values(v),
                        .kernels = t->compute->k };
    if (t->mode != TAPE_TRAIN)
        j.a.dropout = 0;
    if (j.a.dropout > 0)
        j.key = dropout_key(t);
    j.bf16 = attend_bf16_fits(t, &j);
    struct tensor *out = j.bf16 ? tensor_make_narrow(t, q->rows, q->cols) : tensor_make(t, q->rows, q->cols);
    j.o_values = tensor_values(out);
    j.out = out->data;
    bool needs = q->needs_grad || k->needs_grad || v->needs_grad, keeps = needs && tape_records(t);
    if (keeps)
        j.lse = arena_take(t, a->heads * q->rows * sizeof(float));
    j.scratch_each = j.bf16 ? 0 : QUERIES * KEYS;
    size_t scratch = (size_t)team_size(t->compute->team) * j.scratch_each * sizeof(float);
    j.scratch = arena_take(t, scratch);
    j.first_task = tape_small(t, (a->n + 1) * sizeof *j.first_task);
    if (j.first_task)
        for (size_t i = 0; i < a->n; i++)
            j.first_task[i + 1] = j.first_task[i] + a->heads * ((a->segment[i].n_q + QUERIES - 1) / QUERIES);
    if (j.bf16) {
        attend_bf16(t, &j);
    } else {
        attend_widen(t, &j, q, k, v);
        if (tape_live(t))
            team_run(t->compute->team, j.first_task[a->n], forward_task, &j);
        attend_widen_end(t, &j, q, k, v);
    }
    arena_give(t, j.scratch, scratch);
    struct attention_record *r = tape_record(t, sizeof *r, attention_backward, out, needs);
    if (r) {
        r->j = j;
        r->q = q;
        r->k = k;
        r->v = v;
        r->r.reads_half = j.bf16;
        q->kept = k->kept = v->kept = out->kept = out->reread = true;
        tensor_use(q);
        tensor_use(k);
        tensor_use(v);
    }
    return out;
}
