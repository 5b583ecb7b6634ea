/* kernels/nn/ops/conv.c - convolution of width 3 as three products
 *
 * Tap j of output i reads input s i + j - 1 (s the stride); rows of x a stride apart
 * are a matrix already, so no window is ever copied:  Y = sum_j X_j W_j^T with
 * X_j the inputs of tap j and W_j [out, in] the weights W[:, :, j]. */
#include "kernels/nn/ops/conv.h"

struct taps { float *to; const float *from; size_t out, in; float beta; };

static void taps_split(void *ctx, size_t o, int worker)
{
    (void)worker;
    const struct taps *j = ctx;
    for (size_t i = 0; i < j->in; i++)
        for (size_t k = 0; k < TAPS; k++)
            j->to[(k * j->out + o) * j->in + i] = j->from[(o * j->in + i) * TAPS + k];
}

static void taps_join(void *ctx, size_t o, int worker)
{
    (void)worker;
    const struct taps *j = ctx;
    for (size_t i = 0; i < j->in; i++)
        for (size_t k = 0; k < TAPS; k++) {
            float *to = j->to + (o * j->in + i) * TAPS + k;
            *to = (j->beta == 0 ? 0.0f : *to) + j->from[(k * j->out + o) * j->in + i];
        }
}

static float *weights_split(struct tape *t, const struct param *w)
{
    struct taps j = { .from = w->data, .out = w->shape[0], .in = w->shape[1] };
    j.to = arena_take(t, w->count * sizeof(float));
    if (tape_live(t))
        rows_run(t, j.out, 1, taps_split, &j);
    return j.to;
}

/* The outputs of tap j that have an input: *n of them from *from. */
static void tap_range(const struct conv *c, size_t j, size_t *from, size_t *n)
{
    size_t end = c->t_in + 1 > j ? (c->t_in - j) / c->stride + 1 : 0;
    if (c->t_in < j)
        end = 0;
    if (end > c->t_out)
        end = c->t_out;
    *from = j == 0 ? 1 : 0;
    *n = end > *from ? end - *from : 0;
}

static void conv_products(struct tape *t, const struct conv *c, float *y, const float *w)
{
    static const size_t order[TAPS] = { 1, 0, 2 };      /* the middle one reaches every output: it goes first */
    for (size_t b = 0; b < c->batch; b++)
        for (size_t o = 0; o < TAPS; o++) {
            size_t j = order[o], from, n;
            tap_range(c, j, &from, &n);
            const float *x = c->x->data + (b * c->t_in + c->stride * from + j - 1) * c->in;
            gemm_f32(t->compute, false, true, n, c->out, c->in, x, c->stride * c->in, w + j * c->out * c->in, c->in,
                     o ? 1 : 0, y + (b * c->t_out + from) * c->out, c->out);
        }
}

static void conv_backward(struct tape *t, struct record *record)
{
    struct conv *c = (struct conv *)record;
    if (c->w->trained)
        tensor_again(t, c->x);
    const float *dy = c->r.out[0]->grad;
    float beta;
    if (!t->compute->bf16 || !c->w->trained)
        bias_backward(t, c->b, grads_in(c->r.out[0]), c->batch * c->t_out);
    if (t->compute->bf16) {
        conv_bf16_backward(t, c, tensor_grads(c->r.out[0]));
        return;
    }
    if (c->w->trained) {
        float *dw = arena_take(t, c->w->count * sizeof(float));
        for (size_t b = 0; b < c->batch && tape_live(t); b++)
            for (size_t j = 0; j < TAPS; j++) {
                size_t from, n;
                tap_range(c, j, &from, &n);
                gemm_f32(t->compute, true, false, c->out, c->in, n, dy + (b * c->t_out + from) * c->out, c->out,
                         c->x->data + (b * c->t_in + c->stride * from + j - 1) * c->in, c->stride * c->in,
                         b ? 1 : 0, dw + j * c->out * c->in, c->in);
            }
        struct taps j = { .from = dw, .out = c->out, .in = c->in };
        j.to = param_grad(t, c->w, &j.beta);
        if (tape_live(t))
            rows_run(t, c->out, 1, taps_join, &j);
        arena_give(t, dw, c->w->count * sizeof(float));
    }
    if (c->x->needs_grad) {
        float *dx = tensor_grad(t, c->x, &beta), *w = weights_split(t, c->w);
        if (beta == 0)
            flat_zero(t, dx, tensor_count(c->x));
        for (size_t b = 0; b < c->batch && tape_live(t); b++)
            for (size_t j = 0; j < TAPS; j++) {
                size_t from, n;
                tap_range(c, j, &from, &n);
                gemm_f32(t->compute, false, false, n, c->in, c->out, dy + (b * c->t_out + from) * c->out, c->out,
                         w + j * c->out * c->in, c->in, 1,
                         dx + (b * c->t_in + c->stride * from + j - 1) * c->in, c->stride * c->in);
            }
        arena_give(t, w, c->w->count * sizeof(float));
    }
}

struct tensor *tape_conv1d(struct tape *t, struct tensor *x, size_t batch, struct param *w, struct param *b, size_t stride)
{
    struct conv c = { .x = x, .w = w, .b = b, .batch = batch, .stride = stride, .in = w->shape[1], .out = w->shape[0] };
    if (!t->failed && (x->cols != c.in || w->shape[2] != TAPS || !batch || x->rows % batch || !x->rows))
        tape_fail(t, "'%s' does not fit %zu x %zu", w->name, x->rows, x->cols);
    if (t->failed)
        return tensor_make(t, 0, 0);
    c.t_in = x->rows / batch;
    c.t_out = (c.t_in + stride - 1) / stride;
    struct tensor *y = tensor_make_narrow(t, batch * c.t_out, c.out);
    if (t->compute->bf16) {
        conv_bf16_forward(t, &c, tensor_values(y));
    } else {
        float *taps = weights_split(t, w);
        if (tape_live(t))
            conv_products(t, &c, y->data, taps);
        arena_give(t, taps, w->count * sizeof(float));
    }
    if (b && !t->compute->bf16)
        bias_add(t, y->data, b->data, y->rows, y->cols);
    struct conv *r = tape_record(t, sizeof *r, conv_backward, y, x->needs_grad || w->trained || (b && b->trained));
    if (r) {
        c.r = r->r;
        c.r.reads_half = t->compute->bf16;
        *r = c;
        x->kept |= w->trained;
        tensor_use(x);
    }
    return y;
}
