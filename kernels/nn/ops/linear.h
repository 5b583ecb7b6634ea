/* kernels/nn/ops/linear.h - the record of a linear layer, for those that read one value together; private to kernels/nn */
#ifndef PENSTOCK_LINEAR_H
#define PENSTOCK_LINEAR_H

#include "kernels/nn/ops/products.h"

struct linear {
    struct record r;
    struct tensor *x;
    struct param *w, *b;
    float *u;                   /* [T, r], or NULL */
    uint64_t key;               /* of the adapter's dropout */
    struct gemm_in dy;          /* the result's gradient, in backward: its memory is ours then */
    struct later later;
    struct gemm_in late_x;
    struct linear *beside;      /* that reads x, too */
};

struct product linear_product(const struct linear *l);
/* Gradients of the weights and biases of up to PRODUCTS that read one x, those that are trained; gives their dy back. */
void linear_weights(struct tape *t, struct linear *const *list, size_t count);
/* Puts off l's backward if others that read x can do it together with theirs. */
bool linear_beside(struct tape *t, struct linear *l);

#endif
