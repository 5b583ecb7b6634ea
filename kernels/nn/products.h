/* kernels/nn/products.h - products with weights, the one place where their precision is chosen; private to kernels/nn
 *
 * W is [out, in]; n rows.  All do nothing unless tape_live(). */
#ifndef PENSTOCK_PRODUCTS_H
#define PENSTOCK_PRODUCTS_H

#include "kernels/nn/record.h"

void product_forward(struct tape *t, float *y, const float *x, struct param *w, size_t n);                          /* y = x W^T */
void product_input(struct tape *t, float *dx, float beta, const float *dy, struct param *w, size_t n);              /* dx = beta dx + dy W */
void product_weight(struct tape *t, struct param *w, const float *dy, const float *x, size_t n);                    /* w->grad += dy^T x */

/* linear.c: y += b on every row. */
void bias_add(struct tape *t, float *y, const float *b, size_t rows, size_t cols);

/* Keyed dropout (linear.c): y = beta y + x / (1 - p) where element i of key is kept. */
void dropout_apply(struct tape *t, float *y, float beta, const float *x, size_t n, float p, uint64_t key);
uint64_t dropout_key(struct tape *t);       /* of the next operation that draws */

#endif
