/* kernels/linalg/dispatch.h - the table of variants: what differs from processor to processor
 *
 * The reference defines each kernel; a variant gives the same up to rounding,
 * and always the same bits itself.  kernels_choose() (compute.h) picks a table
 * by what processor and operating system support. */
#ifndef PENSTOCK_DISPATCH_H
#define PENSTOCK_DISPATCH_H

#include "kernels/linalg/compute.h"

struct mel_kernel;              /* kernels/dsp/mel_block.h */

struct kernels {
    const char *name;

    /* One tile of gemm_f32, by one thread: arguments as there. */
    void (*gemm_f32_tile)(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                          const float *b, size_t ldb, float beta, float *c, size_t ldc);
    const struct mel_kernel *mel;       /* log-mel features of a block of frames */
};

void gemm_f32_tile_ref(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                       const float *b, size_t ldb, float beta, float *c, size_t ldc);
void gemm_f32_tile_cblas(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                         const float *b, size_t ldb, float beta, float *c, size_t ldc);

#endif
