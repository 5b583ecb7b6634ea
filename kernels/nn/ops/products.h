/* kernels/nn/ops/products.h - products with weights, the one place where their precision is chosen; private to kernels/nn
 *
 * W is [out, in]; n rows.  All do nothing unless tape_live(). */
#ifndef PENSTOCK_PRODUCTS_H
#define PENSTOCK_PRODUCTS_H

#include "kernels/linalg/vec/vec.h"
#include "kernels/nn/tape/record.h"

/* y (+)= x W^T + b, b [out] or NULL.  x, y and dy are bfloat16 only where products are. */
void product_forward(struct tape *t, struct values y, bool add, struct gemm_in x, struct param *w, const float *b, size_t n);
/* dx = beta dx + dy W; beta 0 of bfloat16 */
void product_input(struct tape *t, struct values dx, float beta, struct gemm_in dy, struct param *w, size_t n);
/* Only where products are in bfloat16: x W^T, dy W to wherever. */
void product_forward_into(struct tape *t, struct gemm_in x, struct param *w, size_t n, const struct gemm_out *to);
void product_input_into(struct tape *t, struct gemm_in dy, struct param *w, size_t n, const struct gemm_out *to);
/* w->grad += dy^T x */
void product_weight(struct tape *t, struct param *w, struct gemm_in dy, struct gemm_in x, size_t n);

/* The gradient of y as an operand. */
static inline struct gemm_in grads_in(const struct tensor *y) { return (struct gemm_in){ y->grad, y->grad_half, y->cols }; }
static inline struct gemm_in grad_in(const float *dy, size_t cols) { return (struct gemm_in){ .f32 = dy, .ld = cols }; }

/* y += b on every row. */
void bias_add(struct tape *t, float *y, const float *b, size_t rows, size_t cols);

#endif
