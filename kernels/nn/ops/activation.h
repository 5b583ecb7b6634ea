/* kernels/nn/ops/activation.h - gelu in the blocks of a product, before or behind it; private to kernels/nn */
#ifndef PENSTOCK_ACTIVATION_H
#define PENSTOCK_ACTIVATION_H

#include "kernels/nn/ops/products.h"

struct gelu_block {             /* matrices [rows, ld], all bfloat16 */
    const struct kernels *k;
    uint16_t *x, *y, *dx;
    const float *bias;          /* or NULL */
    size_t ld;
};
/* Where a product goes that is x before its bias: to x and y = gelu(x). */
struct gemm_out gelu_out(struct gelu_block *j);
/* One that is the gradient of y: to dx, and y again unless NULL. */
struct gemm_out gelu_back_out(struct gelu_block *j);

/* Records that y, filled so, is gelu(x). */
struct tensor *gelu_of(struct tape *t, struct tensor *x, struct tensor *y);
/* In a backward that alone makes y's gradient: if y is gelu of something in bfloat16, what gelu_back_out wants (x and
 * dx may be one), memory taken; y's own values are filled too if they are gone and wanted again.  Then gelu's own
 * backward has nothing to do. */
bool gelu_back_begin(struct tape *t, struct tensor *y, bool again, struct gelu_block *j);

#endif
