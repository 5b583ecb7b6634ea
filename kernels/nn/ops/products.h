/* kernels/nn/ops/products.h - products with weights, the one place where their precision is chosen; private to kernels/nn
 *
 * W is [out, in]; n rows.  All do nothing unless tape_live(). */
#ifndef PENSTOCK_PRODUCTS_H
#define PENSTOCK_PRODUCTS_H

#include "kernels/linalg/vec/vec.h"
#include "kernels/nn/tape/record.h"

/* y (+)= x W^T + b, b [out] or NULL.  x, y and dy are bfloat16 only where products are. */
void product_forward(struct tape *t, struct values y, bool add, struct gemm_in x, struct param *w, const float *b, size_t n);
/* dx = beta dx + dy W; beta 0 where dx is bfloat16 */
void product_input(struct tape *t, struct values dx, float beta, struct gemm_in dy, struct param *w, size_t n);
/* Only where products are in bfloat16: x W^T, dy W to wherever. */
void product_forward_into(struct tape *t, struct gemm_in x, struct param *w, size_t n, const struct gemm_out *to);
void product_input_into(struct tape *t, struct gemm_in dy, struct param *w, size_t n, const struct gemm_out *to);
/* What reads one x together: weights alike in width, with the gradients of their results. */
enum { PRODUCTS = 16 };
struct product {
    struct param *w, *b;        /* b: whose gradient is dy's sum of rows, or NULL */
    struct gemm_in dy;
};
/* w->grad += dy^T x, b->grad += sum of dy's rows: of up to PRODUCTS. */
void product_weights(struct tape *t, const struct product *of, size_t count, struct gemm_in x, size_t n);
void product_weight(struct tape *t, struct param *w, struct gemm_in dy, struct gemm_in x, size_t n);   /* of one, without b */
/* In bfloat16: how many of the first product_inputs can do at once. */
size_t product_inputs_most(const struct product *of, size_t count, size_t n);
/* dx = beta dx + dy W + dy' W' ... of so many, which product_input is for one in either precision. */
void product_inputs(struct tape *t, struct values dx, float beta, const struct product *of, size_t count, size_t n);

/* The gradient of y as an operand. */
static inline struct gemm_in grads_in(const struct tensor *y) { return (struct gemm_in){ y->grad, y->grad_half, y->cols }; }
static inline struct gemm_in grad_in(const float *dy, size_t cols) { return (struct gemm_in){ .f32 = dy, .ld = cols }; }

/* b->grad += sum of dy's rows; nothing of a bias that is frozen or NULL. */
void bias_backward(struct tape *t, struct param *b, struct gemm_in dy, size_t n);
/* y += b on every row. */
void bias_add(struct tape *t, float *y, const float *b, size_t rows, size_t cols);

#endif
