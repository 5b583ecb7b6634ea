/* kernels/linalg/pack/pack.h - the orders in which bfloat16 operands are laid out for the products
 *
 * A product sums over pairs: one instruction multiplies two neighbours along k
 * (the summed dimension) and adds both to one float32.  So both operands hold
 * pairs (k, k+1) in 32 bits; an odd k is filled with zero.
 *
 *   panel   64 columns of the operand that is read in vectors: [pairs][64][2],
 *           zeros beyond the last column.  A matrix is ceil(columns / 64) panels.
 *   six     6 columns of the operand that is spread: [pairs][6][2], zeros too.
 *
 * A weight [n,k] is kept as panels over n of pairs along k; dx = dy w wants panels
 * over k of pairs along n, which are made of those block by block.  For dw the
 * pairs are neighbouring tokens: dy becomes sixes, x panels. */
#ifndef PENSTOCK_PACK_H
#define PENSTOCK_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { PANEL = 64, SIX = 6, SIXES = 8 };        /* SIXES are made at once: 48 columns */

/* Rounding to nearest, ties to even; NaN stays NaN. */
uint16_t bf16_of(float x);
float bf16_float(uint16_t x);

struct pack {
    /* Pairs along the rows of from[rows, cols <= 64], ld elements from row to row: one panel of ceil(rows / 2) pairs. */
    void (*rows_f32)(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols);
    void (*rows_bf16)(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols);
    /* The same in sixes, cols <= 48; stride: elements from one six to the next. */
    void (*six_f32)(uint16_t *to, size_t stride, const float *from, size_t ld, size_t rows, size_t cols);
    void (*six_bf16)(uint16_t *to, size_t stride, const uint16_t *from, size_t ld, size_t rows, size_t cols);
    /* Pairs along the columns of from[rows <= 64, cols]: one panel of ceil(cols / 2) pairs. */
    void (*columns_f32)(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols);
    /* The same past the caches, for what is read much later; to: at a multiple of 64 bytes. */
    void (*columns_f32_out)(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols);
    void (*columns_bf16)(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols);
    /* Pairs along the columns to pairs along the rows: from is ceil(cols / 2) pairs of a panel (64
     * rows), to becomes 32 pairs of a panel of cols <= 64 columns. */
    void (*turn)(uint16_t *to, const uint16_t *from, size_t cols);
    /* n numbers; the two may not overlap. */
    void (*from_f32)(uint16_t *to, const float *from, size_t n);
    void (*to_f32)(float *to, const uint16_t *from, size_t n);
    void (*from_sum)(uint16_t *to, const float *a, const float *b, size_t n);       /* a + b, rounded */
};
extern const struct pack pack_ref, pack_avx512bf16;

#endif
