/* kernels/linalg/dispatch.h - the table of variants: what differs from processor to processor
 *
 * The reference defines each kernel; a variant gives the same up to rounding,
 * and always the same bits itself.  kernels_choose() (compute.h) picks a table
 * by what processor and operating system support. */
#ifndef PENSTOCK_DISPATCH_H
#define PENSTOCK_DISPATCH_H

#include "kernels/linalg/compute.h"

struct mel_kernel;              /* kernels/dsp/mel_block.h */
struct pack;                    /* kernels/linalg/pack/pack.h */
struct scores_kernel;           /* kernels/linalg/scores/scores.h */
struct vec;                     /* kernels/linalg/vec/vec.h */

struct kernels {
    const char *name;

    /* One tile of gemm_f32, by one thread: arguments as there. */
    void (*gemm_f32_tile)(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                          const float *b, size_t ldb, float beta, float *c, size_t ldc);
    const struct mel_kernel *mel;       /* log-mel features of a block of frames */

    /* c[rows <= 6, cols <= 64] (+)= a b over so many pairs, by one thread.  a: pair p of row i at
     * a + i * a_row + p * a_pair; b: a panel (pack.h).  next: what to fetch meanwhile, 24 bytes a pair. */
    void (*gemm_bf16_tile)(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                           const uint16_t *b, float *c, size_t ldc, bool add, const void *next);
    const struct pack *pack;            /* pack.h */
    const struct vec *vec;              /* vec.h */
    const struct scores_kernel *scores; /* scores.h */
};

void gemm_f32_tile_ref(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                       const float *b, size_t ldb, float beta, float *c, size_t ldc);
void gemm_f32_tile_cblas(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                         const float *b, size_t ldb, float beta, float *c, size_t ldc);
void gemm_bf16_tile_ref(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                    const uint16_t *b, float *c, size_t ldc, bool add, const void *next);
void gemm_bf16_tile_avx2(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                    const uint16_t *b, float *c, size_t ldc, bool add, const void *next);
void gemm_bf16_tile_avx512(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                    const uint16_t *b, float *c, size_t ldc, bool add, const void *next);
void gemm_bf16_tile_avx512bf16(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                    const uint16_t *b, float *c, size_t ldc, bool add, const void *next);
void gemm_bf16_tile_neon(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                    const uint16_t *b, float *c, size_t ldc, bool add, const void *next);

#endif
