/* kernels/nn/ops/dropout.h - keyed dropout, for operations that drop inside; private to kernels/nn */
#ifndef PENSTOCK_DROPOUT_H
#define PENSTOCK_DROPOUT_H

#include "kernels/nn/tape/record.h"

/* y = beta y + x / (1 - p) where element i of key is kept. */
void dropout_apply(struct tape *t, float *y, float beta, const float *x, size_t n, float p, uint64_t key);
uint64_t dropout_key(struct tape *t);       /* of the next operation that draws */

#endif
