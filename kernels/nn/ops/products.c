/* kernels/nn/ops/products.c - see products.h */
#include "kernels/nn/ops/products.h"

#include "kernels/linalg/pack/pack.h"

static size_t width(const struct param *w) { return w->count / w->shape[0]; }

/* The weight's bfloat16 copy, made when it is first asked for; NULL: products are in float32. */
static const struct packed *packed_of(struct tape *t, struct param *w)
{
    param_settle(t->compute, w);
    if (!t->compute->bf16)
        return NULL;
    if (!w->packed) {
        w->packed = packed_new(w->shape[0], width(w));
        if (w->packed)
            packed_set(t->compute, w->packed, w->data, width(w));
        else
            tape_fail(t, "out of memory: the bfloat16 copy of '%s' wants %zu MiB", w->name,
                      packed_bytes(w->shape[0], width(w)) >> 20);
    }
    return w->packed;
}

struct bias_rows { const struct vec *vec; float *y; const float *b; size_t rows, cols, each; };

static void bias_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct bias_rows *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->rows, j->each, i); r < to; r++)
        j->vec->add(j->y + r * j->cols, j->y + r * j->cols, j->b, j->cols);
}

void bias_add(struct tape *t, float *y, const float *b, size_t rows, size_t cols)
{
    struct bias_rows j = { t->compute->k->vec, y, b, rows, cols, rows_each(cols) };
    if (tape_live(t))
        rows_run(t, rows, j.each, bias_task, &j);
}

void product_forward(struct tape *t, struct values y, bool add, struct gemm_in x, struct param *w, const float *b, size_t n)
{
    size_t out = w->shape[0], in = width(w);
    if (!tape_live(t))
        return;
    const struct packed *p = packed_of(t, w);
    if (p) {
        gemm_bf16(t->compute, n, x, p, false,
                  &(struct gemm_out){ .f32 = y.f32, .bf16 = y.bf16, .ld = out, .add = add, .bias = b });
    } else if (tape_live(t)) {
        gemm_f32(t->compute, false, true, n, out, in, x.f32, in, w->data, in, add ? 1 : 0, y.f32, out);
        if (b)
            bias_add(t, y.f32, b, n, out);
    }
}

void product_input(struct tape *t, struct values dx, float beta, struct gemm_in dy, struct param *w, size_t n)
{
    size_t out = w->shape[0], in = width(w);
    if (t->compute->bf16) {
        product_inputs(t, dx, beta, &(struct product){ .w = w, .dy = dy }, 1, n);
    } else if (tape_live(t)) {
        param_settle(t->compute, w);
        gemm_f32(t->compute, false, false, n, in, out, dy.f32, out, w->data, in, beta, dx.f32, in);
    }
}

void product_forward_into(struct tape *t, struct gemm_in x, struct param *w, size_t n, const struct gemm_out *to)
{
    const struct packed *p = tape_live(t) ? packed_of(t, w) : NULL;
    if (p)
        gemm_bf16(t->compute, n, x, p, false, to);
}

void product_input_into(struct tape *t, struct gemm_in dy, struct param *w, size_t n, const struct gemm_out *to)
{
    const struct packed *p = tape_live(t) ? packed_of(t, w) : NULL;
    if (p)
        gemm_bf16(t->compute, n, dy, p, true, to);
}

void bias_backward(struct tape *t, struct param *b, struct gemm_in dy, size_t n)
{
    float beta, *db = b && b->trained ? param_grad(t, b, &beta) : NULL;
    if (db)
        column_sums(t, db, beta, dy, n);
}

void product_weights(struct tape *t, const struct product *of, size_t count, struct gemm_in x, size_t n)
{
    size_t in = width(of->w);
    struct gemm_dw dw[PRODUCTS];
    for (size_t i = 0; i < count; i++) {
        struct param *w = of[i].w, *b = of[i].b;
        float beta_w, beta_b = 0, *to = param_grad(t, w, &beta_w), *db = b ? param_grad(t, b, &beta_b) : NULL;
        dw[i] = (struct gemm_dw){ .dy = of[i].dy, .n = w->shape[0], .dw = to, .ld = in, .add = beta_w != 0,
                                  .squares = &w->squares, .db = db, .add_db = beta_b != 0 };
        if (tape_live(t))
            w->squared = t->compute->bf16;
    }
    if (tape_live(t) && t->compute->bf16)
        gemm_bf16_dw(t->compute, n, x, in, dw, count);
    for (size_t i = 0; i < count && !t->compute->bf16; i++) {
        size_t out = dw[i].n;
        if (tape_live(t))
            gemm_f32(t->compute, true, false, out, in, n, of[i].dy.f32, out, x.f32, in, dw[i].add ? 1 : 0, dw[i].dw, in);
        if (of[i].b)
            column_sums(t, dw[i].db, dw[i].add_db ? 1 : 0, of[i].dy, n);
    }
}

void product_weight(struct tape *t, struct param *w, struct gemm_in dy, struct gemm_in x, size_t n)
{
    product_weights(t, &(struct product){ .w = w, .dy = dy }, 1, x, n);
}

size_t product_inputs_most(const struct product *of, size_t count, size_t n)
{
    size_t some = 0, rows = 0;
    for (; some < count; some++) {
        const struct product *p = of + some;
        size_t out = p->w->shape[0];
        rows += (out + PANEL - 1) / PANEL * PANEL;
        if (!p->dy.bf16 || out % 2 || !gemm_bf16_sums(n, some + 1, rows, width(of->w)))
            break;
    }
    return some ? some : 1;
}

void product_inputs(struct tape *t, struct values dx, float beta, const struct product *of, size_t count, size_t n)
{
    struct gemm_term terms[PRODUCTS];
    for (size_t i = 0; i < count && tape_live(t); i++)
        terms[i] = (struct gemm_term){ of[i].dy, packed_of(t, of[i].w) };
    if (tape_live(t))
        gemm_bf16_sum(t->compute, n, terms, count,
                      &(struct gemm_out){ .f32 = dx.f32, .bf16 = dx.bf16, .ld = width(of->w), .add = beta != 0 });
}
