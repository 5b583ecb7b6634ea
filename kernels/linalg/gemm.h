/* kernels/linalg/gemm.h - products of matrices, row-major, on the whole team
 *
 * Tiles are fixed by shape alone, each computed by one thread, so the bits do
 * not depend on the number of threads. */
#ifndef PENSTOCK_GEMM_H
#define PENSTOCK_GEMM_H

#include "kernels/linalg/compute.h"

/* float32: c[m,n] = op(a) op(b) + beta c;  op(a) is [m,k], op(b) is [k,n].
 * ta: a is stored [k,m]; tb: b is stored [n,k].  ld*: floats from row to row as
 * stored.  beta is 0 (c may be unset, NaN even) or 1.  c overlaps nothing. */
void gemm_f32(const struct compute *k, bool ta, bool tb, size_t m, size_t n, size_t kk,
              const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

#endif
