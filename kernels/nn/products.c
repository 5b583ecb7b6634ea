/* kernels/nn/products.c - see products.h */
#include "kernels/nn/products.h"

static size_t width(const struct param *w) { return w->count / w->shape[0]; }

void product_forward(struct tape *t, float *y, const float *x, const struct param *w, size_t n)
{
    size_t out = w->shape[0], in = width(w);
    if (tape_live(t))
        gemm_f32(t->compute, false, true, n, out, in, x, in, w->data, in, 0, y, out);
}

void product_input(struct tape *t, float *dx, float beta, const float *dy, const struct param *w, size_t n)
{
    size_t out = w->shape[0], in = width(w);
    if (tape_live(t))
        gemm_f32(t->compute, false, false, n, in, out, dy, out, w->data, in, beta, dx, in);
}

void product_weight(struct tape *t, struct param *w, const float *dy, const float *x, size_t n)
{
    size_t out = w->shape[0], in = width(w);
    float beta;
    if (!tape_live(t))
        return;
    float *dw = param_grad(t, w, &beta);
    gemm_f32(t->compute, true, false, out, in, n, dy, out, x, in, beta, dw, in);
}
