/* kernels/nn/ops/dropout.c - dropout whose draws are keyed, so that backward drops the same without keeping them */
#include "kernels/nn/ops/dropout.h"
#include "kernels/nn/random.h"

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

struct dropout {
    struct record r;
    struct tensor *x;
    float p;
    uint64_t key;
};

static void dropout_backward(struct tape *t, struct record *record)
{
    struct dropout *r = (struct dropout *)record;
    float beta, *dx = tensor_grad(t, r->x, &beta);
    dropout_apply(t, dx, beta, r->r.out[0]->grad, tensor_count(r->x), r->p, r->key);
}

struct tensor *tape_dropout(struct tape *t, struct tensor *x, float p)
{
    if (t->mode != TAPE_TRAIN || !(p > 0))
        return x;
    uint64_t key = dropout_key(t);
    struct tensor *y = tensor_make(t, x->rows, x->cols);
    float *wide = tensor_wide(t, x);
    dropout_apply(t, y->data, 0, wide, tensor_count(x), p, key);
    tensor_wide_give(t, x, wide);
    struct dropout *r = tape_record(t, sizeof *r, dropout_backward, y, x->needs_grad);
    if (r) {
        r->x = x;
        r->p = p;
        r->key = key;
    }
    return y;
}
