/* kernels/nn/ops/conv_bf16.c - the convolution with its products in bfloat16
 *
 * x is copied as bfloat16 with a row of zeros at both ends of each clip.  Then the
 * inputs of output i are 3 neighbouring rows, one row of a matrix whose rows
 * overlap:  Y = X W^T with X [T, 3 in], a stride apart, and W [out, 3 in]. */
#include "kernels/nn/ops/conv.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"

#include <string.h>

struct pad { uint16_t *to; struct values from; size_t rows, cols; const struct pack *pack; };

static void pad_task(void *ctx, size_t b, int worker)
{
    (void)worker;
    const struct pad *j = ctx;
    uint16_t *to = j->to + b * (j->rows + 2) * j->cols;
    memset(to, 0, j->cols * sizeof *to);
    size_t at = b * j->rows * j->cols, n = j->rows * j->cols;
    if (j->from.bf16)
        memcpy(to + j->cols, j->from.bf16 + at, n * sizeof *to);
    else
        j->pack->from_f32(to + j->cols, j->from.f32 + at, n);
    memset(to + (j->rows + 1) * j->cols, 0, j->cols * sizeof *to);
}

static size_t padded_bytes(const struct conv *c) { return c->batch * (c->t_in + 2) * c->in * sizeof(uint16_t); }

static uint16_t *padded_take(struct tape *t, const struct conv *c)
{
    struct pad j = { .from = tensor_values(c->x), .rows = c->t_in, .cols = c->in, .pack = t->compute->k->pack };
    j.to = arena_take(t, padded_bytes(c));
    if (tape_live(t))
        rows_run(t, c->batch, 1, pad_task, &j);
    return j.to;
}

/* Outputs' inputs, of clip b. */
static struct gemm_in windows(const struct conv *c, const uint16_t *padded, size_t b)
{
    return (struct gemm_in){ .bf16 = padded + b * (c->t_in + 2) * c->in, .ld = c->stride * c->in };
}

struct order { float *to; const float *from; size_t in; bool add; };

/* [out, in, 3] as [out, 3, in], and back. */
static void order_task(void *ctx, size_t o, int worker)
{
    (void)worker;
    const struct order *j = ctx;
    const float *from = j->from + o * j->in * TAPS;
    float *to = j->to + o * j->in * TAPS;
    for (size_t k = 0; k < TAPS; k++)
        for (size_t i = 0; i < j->in; i++)
            to[k * j->in + i] = from[i * TAPS + k];
}

static void back_task(void *ctx, size_t o, int worker)
{
    (void)worker;
    const struct order *j = ctx;
    const float *from = j->from + o * j->in * TAPS;
    float *to = j->to + o * j->in * TAPS;
    for (size_t i = 0; i < j->in; i++)
        for (size_t k = 0; k < TAPS; k++)
            to[i * TAPS + k] = (j->add ? to[i * TAPS + k] : 0.0f) + from[k * j->in + i];
}

/* The weight's copy, made anew: it is small, and adamw_step does not know this order. */
static const struct packed *weight_pack(struct tape *t, struct param *w)
{
    struct order j = { .from = w->data, .in = w->shape[1] };
    j.to = arena_take(t, w->count * sizeof(float));
    if (tape_live(t) && !w->packed && !(w->packed = packed_new(w->shape[0], TAPS * j.in)))
        tape_fail(t, "out of memory: the bfloat16 copy of '%s'", w->name);
    if (tape_live(t)) {
        rows_run(t, w->shape[0], 1, order_task, &j);
        packed_set(t->compute, w->packed, j.to, TAPS * j.in);
    }
    arena_give(t, j.to, w->count * sizeof(float));
    return w->packed;
}

void conv_bf16_forward(struct tape *t, const struct conv *c, struct values y)
{
    const struct packed *w = weight_pack(t, c->w);
    uint16_t *padded = padded_take(t, c);
    for (size_t b = 0; b < c->batch && tape_live(t); b++) {
        size_t at = b * c->t_out * c->out;
        struct gemm_out to = { .f32 = y.f32 ? y.f32 + at : NULL, .bf16 = y.bf16 ? y.bf16 + at : NULL, .ld = c->out,
                               .bias = c->b ? c->b->data : NULL };
        gemm_bf16(t->compute, c->t_out, windows(c, padded, b), w, false, &to);
    }
    arena_give(t, padded, padded_bytes(c));
}

struct gather { const struct conv *c; const float *from; struct values to; float beta; size_t b; const struct compute *k; };

/* The gradient of clip b's outputs. */
static struct gemm_in outputs(const struct conv *c, struct values dy, size_t b)
{
    size_t at = b * c->t_out * c->out;
    return (struct gemm_in){ dy.f32 ? dy.f32 + at : NULL, dy.bf16 ? dy.bf16 + at : NULL, c->out };
}

/* An input belongs to the windows of up to 3 outputs. */
static void gather_task(void *ctx, size_t i, int worker)
{
    const struct gather *j = ctx;
    const struct conv *c = j->c;
    size_t at = (j->b * c->t_in + i) * c->in;
    float *to = values_open(j->to, at, team_scratch(j->k->team, worker));
    if (j->beta == 0)
        memset(to, 0, c->in * sizeof *to);
    for (size_t k = 0; k < TAPS; k++) {
        size_t o = (i + 1 - k) / c->stride;     /* output o reads input stride o + k - 1 */
        if (i + 1 >= k && (i + 1 - k) % c->stride == 0 && o < c->t_out)
            j->k->k->vec->add(to, to, j->from + (o * TAPS + k) * c->in, c->in);
    }
    values_close(j->k->k, j->to, at, c->in, to);
}

static void input_gradient(struct tape *t, const struct conv *c, struct values dy)
{
    size_t bytes = c->t_out * TAPS * c->in * sizeof(float);
    struct gather j = { .c = c, .k = t->compute, .to = { .bf16 = tensor_grad_narrow(t, c->x) } };
    if (!j.to.bf16)
        j.to.f32 = tensor_grad(t, c->x, &j.beta);
    float *windows_grad = arena_take(t, bytes);
    const struct packed *w = weight_pack(t, c->w);
    j.from = windows_grad;
    for (j.b = 0; j.b < c->batch && tape_live(t); j.b++) {
        gemm_bf16(t->compute, c->t_out, outputs(c, dy, j.b), w, true,
                  &(struct gemm_out){ .f32 = windows_grad, .ld = TAPS * c->in });
        rows_run(t, c->t_in, 1, gather_task, &j);
    }
    arena_give(t, windows_grad, bytes);
}

void conv_bf16_backward(struct tape *t, const struct conv *c, struct values dy)
{
    if (c->w->trained) {
        struct order j = { .in = c->in };
        float beta_b = 0, beta, *dw = arena_take(t, c->w->count * sizeof(float));
        float *db = c->b && c->b->trained ? param_grad(t, c->b, &beta_b) : NULL;
        uint16_t *padded = padded_take(t, c);
        for (size_t b = 0; b < c->batch && tape_live(t); b++)
            gemm_bf16_dw(t->compute, c->t_out, windows(c, padded, b), TAPS * c->in,
                         &(struct gemm_dw){ .dy = outputs(c, dy, b), .n = c->out, .dw = dw, .ld = TAPS * c->in, .add = b > 0,
                                            .db = db, .add_db = b > 0 || beta_b != 0 }, 1);
        arena_give(t, padded, padded_bytes(c));
        j.from = dw;
        j.to = param_grad(t, c->w, &beta);
        j.add = beta != 0;
        if (tape_live(t))
            rows_run(t, c->out, 1, back_task, &j);
        arena_give(t, dw, c->w->count * sizeof(float));
    }
    if (c->x->needs_grad)
        input_gradient(t, c, dy);
}
