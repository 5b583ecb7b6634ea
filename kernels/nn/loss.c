/* kernels/nn/loss.c - the output projection and the cross entropy, fused
 *
 * Per supervised position: z = W x, p = softmax(z),
 *   loss = -(1 - e) log p[id] - e mean(log p);   dz = p - (1 - e) onehot(id) - e / V.
 * A chunk of positions at a time has its logits in a bounded buffer, which becomes
 * dz in place; then dx = dz W and dW += dz^T x: nothing is computed twice. */
#include "kernels/nn/products.h"
#include "kernels/linalg/pack.h"
#include "kernels/linalg/vec.h"

#include <math.h>
#include <string.h>

struct chunk {
    const struct vec *vec;
    const struct pack *pack;    /* the gradient becomes bfloat16, each row at its logits' beginning; or NULL */
    float *z;                   /* [n, V] logits, then their gradient */
    size_t n, vocab;
    const struct target *target;
    float cap, smoothing;
    bool gradient;
    double *nll, *sum;          /* [n] */
};

enum { STRETCH = 4096, CHUNK = 256 };   /* logits at once; positions at once: reading W again is a small part of their work */

/* Sum of exp(z - max), in double over short stretches. */
static float exp_total(const struct vec *vec, const float *z, float max, size_t n)
{
    float unused[STRETCH];
    double total = 0;
    for (size_t j = 0; j < n; j += STRETCH)
        total += (double)vec->exp_sum(unused, z + j, 1, max, n - j < STRETCH ? n - j : STRETCH);
    return (float)total;
}

static void loss_task(void *ctx, size_t r, int worker)
{
    (void)worker;
    const struct chunk *c = ctx;
    size_t n = c->vocab, id = (size_t)c->target[r].id;
    float *z = c->z + r * n, e = c->smoothing, max = -INFINITY;
    if (c->cap > 0)
        c->vec->cap(z, z, c->cap, n);
    max = c->vec->max(z, n);
    float total = exp_total(c->vec, z, max, n);
    double lse = (double)max + log((double)total);
    c->nll[r] = lse - (double)z[id];
    c->sum[r] = c->nll[r];
    if (e > 0)
        c->sum[r] = (1 - (double)e) * c->nll[r] + (double)e * (lse - c->vec->sum(z, n) / (double)n);
    if (!c->gradient)
        return;
    float share = 1.0f / total, even = e / (float)n, cap2 = c->cap > 0 ? 1.0f / (c->cap * c->cap) : 0.0f;
    float own = (1 - e) * (1.0f - z[id] * z[id] * cap2), room[STRETCH];
    for (size_t j = 0; j < n; j += STRETCH) {
        size_t some = n - j < STRETCH ? n - j : STRETCH;
        float *to = c->pack ? room : z + j;
        c->vec->softmax_back(to, z + j, max, share, even, cap2, some);
        if (id - j < some)
            to[id - j] -= own;
        if (c->pack)                            /* half as long: it ends before what is still to be read */
            c->pack->from_f32((uint16_t *)(void *)z + j, room, some);
    }
}

struct gather { uint8_t *to; const uint8_t *from; const struct target *target; size_t n, bytes, each; };

static void gather_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct gather *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->n, j->each, i); r < to; r++)
        memcpy(j->to + r * j->bytes, j->from + j->target[r].row * j->bytes, j->bytes);
}

struct loss_record {
    struct record r;
    struct tensor *x;
    float *dx;                  /* [n, C] */
    const struct target *target;
    size_t n;
};

/* A position may be asked for more than once: added in order. */
static void loss_backward(struct tape *t, struct record *record)
{
    struct loss_record *r = (struct loss_record *)record;
    size_t cols = r->x->cols;
    float beta, *dx = tensor_grad(t, r->x, &beta);
    if (beta == 0)
        flat_zero(t, dx, tensor_count(r->x));
    for (size_t i = 0; i < r->n && tape_live(t); i++)
        for (size_t c = 0; c < cols; c++)
            dx[r->target[i].row * cols + c] += r->dx[i * cols + c];
    arena_give(t, r->dx, r->n * cols * sizeof(float));
}

static void targets_check(struct tape *t, const struct tensor *x, const struct param *w, const struct target *target, size_t n)
{
    for (size_t i = 0; i < n && tape_live(t); i++)
        if (target[i].row >= x->rows || target[i].id < 0 || (size_t)target[i].id >= w->shape[0])
            tape_fail(t, "label %d at position %zu: the vocabulary has %zu entries", target[i].id, target[i].row, w->shape[0]);
}

void tape_lm_loss(struct tape *t, struct tensor *x, struct param *w, float cap, float smoothing,
                  const struct target *target, size_t n, struct loss *loss, float *nll)
{
    size_t cols = x->cols, vocab = w->shape[0];
    bool trains = tape_records(t) && (x->needs_grad || w->trained), back = trains && x->needs_grad;
    targets_check(t, x, w, target, n);
    if (loss && tape_live(t))
        *loss = (struct loss){ .tokens = n };
    if (t->failed || !n)
        return;
    size_t each = t->loss_bytes / sizeof(float) / vocab;
    each = each < CHUNK ? each : CHUNK;
    each = each < 1 ? 1 : each < n ? each : n;
    float *dx = back ? arena_take(t, n * cols * sizeof(float)) : NULL;
    size_t row = cols * (x->half ? sizeof *x->half : sizeof *x->data);
    void *xs = arena_take(t, each * row);
    struct gemm_in in = { .f32 = x->half ? NULL : xs, .bf16 = x->half ? xs : NULL, .ld = cols };
    float *z = arena_take(t, each * vocab * sizeof(float));
    struct gemm_in dz = t->compute->bf16 ? (struct gemm_in){ .bf16 = (uint16_t *)(void *)z, .ld = 2 * vocab } : grad_in(z, vocab);
    double *sums = tape_small(t, 2 * each * sizeof *sums);
    t->plan.loss = each * vocab * sizeof(float);

    for (size_t from = 0; from < n && tape_live(t); from += each) {
        size_t m = n - from < each ? n - from : each;
        struct gather g = { xs, x->half ? (uint8_t *)x->half : (uint8_t *)x->data, target + from, m, row, rows_each(cols) };
        rows_run(t, m, g.each, gather_task, &g);
        product_forward(t, (struct values){ .f32 = z }, false, in, w, NULL, m);
        struct chunk c = { t->compute->k->vec, t->compute->bf16 ? t->compute->k->pack : NULL, z, m, vocab, target + from, cap, smoothing, trains, sums, sums + each };
        rows_run(t, m, 1, loss_task, &c);
        for (size_t i = 0; i < m; i++) {
            if (loss) {
                loss->nll += c.nll[i];
                loss->sum += c.sum[i];
            }
            if (nll)
                nll[from + i] = (float)c.nll[i];
        }
        if (back)
            product_input(t, (struct values){ .f32 = dx + from * cols }, 0, dz, w, m);
        if (trains && w->trained)
            product_weight(t, w, dz, in, m);
    }
    arena_give(t, z, each * vocab * sizeof(float));
    arena_give(t, xs, each * row);
    struct loss_record *r = tape_record(t, sizeof *r, loss_backward, NULL, back);
    if (r) {
        r->r.always = true;
        r->x = x;
        r->dx = dx;
        r->target = target;
        r->n = n;
    }
}

struct tensor *tape_logits(struct tape *t, struct tensor *x, struct param *w, float cap)
{
    struct tensor *y = tensor_make(t, x->rows, w->shape[0]);
    product_forward(t, tensor_values(y), false, tensor_in(x), w, NULL, x->rows);
    if (cap > 0 && tape_live(t))
        t->compute->k->vec->cap(y->data, y->data, cap, tensor_count(y));
    return y;
}
