/* kernels/nn/attention/attention_backward.c - gradients of attention, scores computed again
 *
 * P = exp(S - lse);  dV += P^T dO;  dP = dO V^T;  D = sum(dO * O) per query;
 * with dropout's mask M:  dV += (P M)^T dO,  dP = (dO V^T) M;
 * dS = P (dP - D) (1 - (S / cap)^2) scale;  dQ += dS K;  dK += dS^T Q.
 * A task is one key-value head of one segment with all its query heads, so nobody
 * else adds to what it writes.  A block of keys is outermost. */
#include "kernels/nn/attention/attention_backward.h"
#include "kernels/linalg/vec/vmath.h"
#include "kernels/nn/attention/attention_bf16.h"

#include <math.h>

enum { LANES = 16, KEYS_BACK = 256 };

static float dot_f32(const float *a, const float *b, size_t n)
{
    float lane[LANES] = { 0 }, sum = 0;
    size_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (size_t i = 0; i < LANES; i++)
            lane[i] += a[c + i] * b[c + i];
    for (; c < n; c++)
        sum += a[c] * b[c];
    for (size_t i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

/* p: scores in, probabilities out; dp: gradients of probabilities in, of the products q k out. */
static void scores_backward(float *restrict p, float *restrict dp, size_t n, float lse, float dot, float scale, float cap)
{
    float cap2 = cap > 0 ? 1.0f / (cap * cap) : 0.0f;
    if (cap > 0) {
        for (size_t c = 0; c < n; c++) {
            float s = p[c];
            p[c] = exp_f32(s - lse);
            dp[c] = p[c] > 0 ? p[c] * (dp[c] - dot) * scale * (1.0f - s * s * cap2) : 0.0f;
        }
        return;
    }
    for (size_t c = 0; c < n; c++) {
        p[c] = exp_f32(p[c] - lse);
        dp[c] = p[c] * (dp[c] - dot) * scale;
    }
}

/* One block of queries of one head against one block of keys. */
static void block_backward(const struct attend *j, const struct attended *g, size_t head, size_t q0, size_t m, size_t k0,
                           size_t n, float *p)
{
    const struct attention *a = &j->a;
    size_t kv = head / (a->heads / a->kv_heads), at_q = (g->q + q0) * j->ld_q + head * j->d;
    size_t at_k = (g->k + k0) * j->ld_k + kv * j->d;
    float *dp = p + QUERIES * KEYS_BACK;
    attend_scores(j, g, head, q0, m, k0, n, p);
    j->kernels->gemm_f32_tile(false, true, m, n, j->d, j->d_o + at_q, j->ld_q, j->v + at_k, j->ld_k, 0, dp, n);
    if (a->dropout > 0)
        attend_drop(j, g, head, q0, m, k0, n, dp);
    for (size_t i = 0; i < m; i++) {
        size_t row = at_q + i * j->ld_q;
        float lse = j->lse[head * j->t_q + g->q + q0 + i];
        scores_backward(p + i * n, dp + i * n, n, lse, dot_f32(j->d_o + row, j->o + row, j->d), a->scale, a->cap);
    }
    if (a->dropout > 0)
        attend_drop(j, g, head, q0, m, k0, n, p);
    if (j->dv)
        j->kernels->gemm_f32_tile(true, false, n, j->d, m, p, n, j->d_o + at_q, j->ld_q, 1, j->dv + at_k, j->ld_k);
    if (j->dq)
        j->kernels->gemm_f32_tile(false, false, m, j->d, n, dp, n, j->k + at_k, j->ld_k, 1, j->dq + at_q, j->ld_q);
    if (j->dk)
        j->kernels->gemm_f32_tile(true, false, n, j->d, m, dp, n, j->q + at_q, j->ld_q, 1, j->dk + at_k, j->ld_k);
}

static void backward_task(void *ctx, size_t task, int worker)
{
    const struct attend *j = ctx;
    const struct attention *a = &j->a;
    const struct attended *g = a->segment + task / a->kv_heads;
    size_t group = a->heads / a->kv_heads, kv = task % a->kv_heads;
    float *scratch = j->scratch + (size_t)worker * j->scratch_each;
    for (size_t k0 = 0; k0 < g->n_k; k0 += KEYS_BACK) {
        size_t n = g->n_k - k0 < KEYS_BACK ? g->n_k - k0 : KEYS_BACK;
        for (size_t head = kv * group; head < (kv + 1) * group; head++)
            for (size_t q0 = 0; q0 < g->n_q; q0 += QUERIES) {
                size_t m = g->n_q - q0 < QUERIES ? g->n_q - q0 : QUERIES, from, to, unused;
                attend_range(a, g, q0, &from, &unused);
                attend_range(a, g, q0 + m - 1, &unused, &to);
                if (from < k0 + n && to > k0)
                    block_backward(j, g, head, q0, m, k0, n, scratch);
            }
    }
}

static float *zeroed_grad(struct tape *t, struct tensor *x)
{
    if (!x->needs_grad)
        return NULL;
    float beta, *dx = tensor_grad(t, x, &beta);
    if (beta == 0)
        flat_zero(t, dx, tensor_count(x));
    return dx;
}

void attention_backward(struct tape *t, struct record *record)
{
    struct attention_record *r = (struct attention_record *)record;
    struct attend *j = &r->j;
    tensor_again(t, r->q);
    tensor_again(t, r->k);
    tensor_again(t, r->v);
    j->q_values = tensor_values(r->q);
    j->k_values = tensor_values(r->k);
    j->v_values = tensor_values(r->v);
    j->o = r->r.out[0]->data;                   /* float32 where it is asked for */
    j->d_o = r->r.out[0]->grad;
    j->d_o_values = tensor_grads(r->r.out[0]);
    bool rounds = j->bf16 && attend_bf16_rounds(j, r->q->rows, r->k->rows);
    j->dq_half = rounds && r->q->needs_grad ? tensor_grad_in_place(t, r->q) : NULL;
    j->dk_half = rounds && r->k->needs_grad ? tensor_grad_in_place(t, r->k) : NULL;
    j->dv_half = rounds && r->v->needs_grad ? tensor_grad_in_place(t, r->v) : NULL;
    j->dq = j->dq_half ? NULL : zeroed_grad(t, r->q);
    j->dk = j->dk_half ? NULL : zeroed_grad(t, r->k);
    j->dv = j->dv_half ? NULL : zeroed_grad(t, r->v);
    j->scratch_each = j->bf16 ? 0 : 2 * QUERIES * KEYS_BACK;
    size_t scratch = (size_t)team_size(t->compute->team) * j->scratch_each * sizeof(float);
    j->scratch = arena_take(t, scratch);
    if (j->bf16) {
        attend_bf16_backward(t, j);
    } else {
        attend_widen(t, j, r->q, r->k, r->v);
        if (tape_live(t))
            team_run(t->compute->team, j->a.n * j->a.kv_heads, backward_task, j);
        attend_widen_end(t, j, r->q, r->k, r->v);
    }
    arena_give(t, j->scratch, scratch);
    arena_give(t, j->lse, j->a.heads * r->q->rows * sizeof(float));
}
