/* kernels/nn/ops/conv.h - a convolution of width 3, in float32 (conv.c) or bfloat16 (conv_bf16.c); private to kernels/nn */
#ifndef PENSTOCK_CONV_H
#define PENSTOCK_CONV_H

#include "kernels/nn/ops/products.h"

enum { TAPS = 3 };

struct conv {
    struct record r;
    struct tensor *x;
    struct param *w, *b;
    size_t batch, stride, in, out, t_in, t_out;
};

/* y: of the output's size, with the bias. */
void conv_bf16_forward(struct tape *t, const struct conv *c, struct values y);
/* Adds to the gradients of w, with b, and x, those that are wanted. */
void conv_bf16_backward(struct tape *t, const struct conv *c, struct values dy);

#endif
