/* kernels/nn/ops/elementwise.h - a sum that something else has made; private to kernels/nn */
#ifndef PENSTOCK_ELEMENTWISE_H
#define PENSTOCK_ELEMENTWISE_H

#include "kernels/nn/tape/record.h"

/* Fails the tape if x does not have these rows and columns. */
void sum_fits(struct tape *t, const struct tensor *x, size_t rows, size_t cols);
/* Records that out, filled so, is x + y. */
struct tensor *sum_of(struct tape *t, struct tensor *x, struct tensor *y, struct tensor *out);

#endif
