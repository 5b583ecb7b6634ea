/* kernels/nn/linear.c - y = x W^T + b, with the weight's low-rank adapter
 *
 * dx = dy W;  dW = dy^T x;  db = sum of dy's rows.
 * Adapter, with z = dropout(x) and u = s z A^T:  y += u B^T;
 * dB = dy^T u;  du = s dy B;  dA = du^T z;  dz = du A. */
#include "kernels/nn/products.h"
#include "kernels/nn/random.h"

struct linear {
    struct record r;
    struct tensor *x;
    struct param *w, *b;
    float *u;                   /* [T, r], or NULL */
    uint64_t key;               /* of the adapter's dropout */
};

/* --- the adapter ------------------------------------------------------------------ */
struct drop {
    float *y, beta, p;
    const float *x;
    size_t n;
    uint64_t key;
};

enum { DROP_EACH = 16384 };

/* y = beta y + x where kept, scaled by 1 / (1 - p). */
static void drop_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct drop *d = ctx;
    float scale = 1.0f / (1.0f - d->p);
    for (size_t j = i * DROP_EACH, to = rows_end(d->n, DROP_EACH, i); j < to; j++) {
        float x = random_uniform(d->key, j) < d->p ? 0.0f : scale * d->x[j];
        d->y[j] = d->beta == 0 ? x : d->y[j] + x;
    }
}

void dropout_apply(struct tape *t, float *y, float beta, const float *x, size_t n, float p, uint64_t key)
{
    struct drop d = { .y = y, .beta = beta, .p = p, .x = x, .n = n, .key = key };
    if (tape_live(t))
        rows_run(t, n, DROP_EACH, drop_task, &d);
}

uint64_t dropout_key(struct tape *t) { return random_key(t->key, t->op++); }

static bool adapter_drops(const struct tape *t, const struct param *w)
{
    return w->lora.dropout > 0 && t->mode == TAPE_TRAIN;
}

/* z: x itself, or x with dropout in memory to be given back with adapter_input_give. */
static const float *adapter_input(struct tape *t, const struct tensor *x, const struct param *w, uint64_t key)
{
    if (!adapter_drops(t, w))
        return x->data;
    float *z = arena_take(t, tensor_count(x) * sizeof(float));
    dropout_apply(t, z, 0, x->data, tensor_count(x), w->lora.dropout, key);
    return z;
}

static void adapter_input_give(struct tape *t, const struct tensor *x, const float *z)
{
    if (z != x->data)
        arena_give(t, (void *)(uintptr_t)z, tensor_count(x) * sizeof(float));
}

static float *adapter_forward(struct tape *t, const struct tensor *x, const struct param *w, float *y, uint64_t key)
{
    size_t r = w->lora.a->shape[0], in = x->cols, out = w->shape[0], n = x->rows;
    float *u = arena_take(t, n * r * sizeof *u);
    const float *z = adapter_input(t, x, w, key);
    if (tape_live(t)) {
        gemm_f32(t->compute, false, true, n, r, in, z, in, w->lora.a->data, in, 0, u, r);
        flat_add(t, u, 0, w->lora.scale, u, n * r);
        gemm_f32(t->compute, false, true, n, out, r, u, r, w->lora.b->data, r, 1, y, out);
    }
    adapter_input_give(t, x, z);
    return u;
}

static void adapter_backward(struct tape *t, const struct linear *l, const float *dy)
{
    struct param *a = l->w->lora.a, *b = l->w->lora.b;
    struct tensor *x = l->x;
    size_t r = a->shape[0], in = x->cols, out = l->w->shape[0], n = x->rows;
    float *du = arena_take(t, n * r * sizeof *du), beta;
    const float *z = adapter_input(t, x, l->w, l->key);
    if (tape_live(t)) {
        gemm_f32(t->compute, false, false, n, r, out, dy, out, b->data, r, 0, du, r);
        flat_add(t, du, 0, l->w->lora.scale, du, n * r);
        float *db = param_grad(t, b, &beta);
        gemm_f32(t->compute, true, false, out, r, n, dy, out, l->u, r, beta, db, r);
        float *da = param_grad(t, a, &beta);
        gemm_f32(t->compute, true, false, r, in, n, du, r, z, in, beta, da, in);
    }
    adapter_input_give(t, x, z);
    if (x->needs_grad) {
        float *dx = tensor_grad(t, x, &beta);
        bool drops = adapter_drops(t, l->w);
        float *dz = drops ? arena_take(t, tensor_count(x) * sizeof *dz) : dx;
        if (tape_live(t))
            gemm_f32(t->compute, false, false, n, in, r, du, r, a->data, in, drops ? 0 : beta, dz, in);
        if (drops) {
            dropout_apply(t, dx, beta, dz, tensor_count(x), l->w->lora.dropout, l->key);
            arena_give(t, dz, tensor_count(x) * sizeof *dz);
        }
    }
    arena_give(t, du, n * r * sizeof *du);
}

/* --- the whole -------------------------------------------------------------------- */
static void linear_backward(struct tape *t, struct record *record)
{
    struct linear *l = (struct linear *)record;
    struct tensor *x = l->x, *y = l->r.out[0];
    float beta;
    if (x->needs_grad) {
        float *dx = tensor_grad(t, x, &beta);
        product_input(t, dx, beta, y->grad, l->w, x->rows);
    }
    if (l->w->trained)
        product_weight(t, l->w, y->grad, x->data, x->rows);
    if (l->b && l->b->trained) {
        float *db = param_grad(t, l->b, &beta);
        column_sums(t, db, beta, y->grad, y->rows, y->cols);
    }
    if (l->u) {
        adapter_backward(t, l, y->grad);
        arena_give(t, l->u, x->rows * l->w->lora.a->shape[0] * sizeof(float));
    }
}

struct bias { float *y; const float *b; size_t rows, cols, each; };

static void bias_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct bias *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->rows, j->each, i); r < to; r++) {
        float *restrict y = j->y + r * j->cols;
        const float *restrict b = j->b;
        for (size_t c = 0; c < j->cols; c++)
            y[c] += b[c];
    }
}

void bias_add(struct tape *t, float *y, const float *b, size_t rows, size_t cols)
{
    struct bias j = { y, b, rows, cols, rows_each(cols) };
    if (tape_live(t))
        rows_run(t, rows, j.each, bias_task, &j);
}

struct tensor *tape_linear(struct tape *t, struct tensor *x, struct param *w, struct param *b)
{
    if (x->cols != w->shape[1] && !t->failed)
        tape_fail(t, "'%s' takes %zu features, not %zu", w->name, w->shape[1], x->cols);
    struct tensor *y = tensor_make(t, x->rows, w->shape[0]);
    product_forward(t, y->data, x->data, w, x->rows);
    if (b)
        bias_add(t, y->data, b->data, y->rows, y->cols);
    bool adapted = w->lora.a != NULL;
    uint64_t key = adapted && adapter_drops(t, w) ? dropout_key(t) : 0;
    float *u = adapted ? adapter_forward(t, x, w, y->data, key) : NULL;

    bool trained = w->trained || (b && b->trained) || adapted;
    struct linear *l = tape_record(t, sizeof *l, linear_backward, y, x->needs_grad || trained);
    if (l) {
        l->x = x;
        l->w = w;
        l->b = b;
        l->u = u;
        l->key = key;
        x->kept |= w->trained || adapted;
    } else if (u) {
        arena_give(t, u, x->rows * w->lora.a->shape[0] * sizeof *u);
    }
    return y;
}
