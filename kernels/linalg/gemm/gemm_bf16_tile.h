/* kernels/linalg/gemm/gemm_bf16_tile.h - the register tile of bfloat16 products, for one instruction set
 *
 * Included once by each gemm_bf16_<set>.c, which first defines
 *   vf, vp                          a vector of float32 sums, of bfloat16 pairs
 *   LANES, WIDE                     sums in a vector; vectors across a tile (LANES * WIDE divides 64)
 *   vf_zero vf_load vf_store vf_add
 *   vp_load(p), vp_spread(p)        LANES pairs from memory; one pair in all lanes
 *   vp_mac(c, a, b)                 c + a.lo b.lo + a.hi b.hi
 *   TILE                            the name of the function
 * A tile of 6 rows by WIDE vectors stays in registers over the whole sum: with
 * 16 lanes that is 24 sums, 4 vectors of b and 1 of a of the 32 registers, and
 * 10 loads for 24 multiplications, so loads never limit. */
#include <string.h>

#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/inline.h"
#include "kernels/linalg/pack/pack.h"

/* rows <= 6 and wide <= WIDE are constants where this is inlined. */
INLINE void tile_of(const size_t rows, const size_t wide, size_t pairs, const uint16_t *a, size_t a_row,
                    size_t a_pair, const uint16_t *b, float *c, size_t ldc, bool add, const char *next)
{
    vf sum[SIX][WIDE];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
        for (size_t j = 0; j < wide; j++) {
            sum[i][j] = vf_zero();
            if (add)
                __builtin_prefetch(c + i * ldc + j * LANES, 1);
        }
    for (size_t p = 0; p < pairs; p++) {
        vp bv[WIDE];
        UNROLL
        for (size_t j = 0; j < wide; j++)
            bv[j] = vp_load(b + 2 * LANES * j);
        __builtin_prefetch(next);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            vp av = vp_spread(a + i * a_row);
            UNROLL
            for (size_t j = 0; j < wide; j++)
                sum[i][j] = vp_mac(sum[i][j], av, bv[j]);
        }
        a += a_pair;
        b += 2 * PANEL;
        next += 4 * SIX;
    }
    __asm__ volatile("" : "+r"(ldc));   /* or its multiples take registers throughout the loop */
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < wide; j++) {
            float *at = c + j * LANES;
            vf_store(at, add ? vf_add(vf_load(at), sum[i][j]) : sum[i][j]);
        }
        c += ldc;
    }
}

INLINE void tile_wide(size_t rows, const size_t wide, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                      const uint16_t *b, float *c, size_t ldc, bool add, const char *next)
{
    switch (rows) {
    case 1: tile_of(1, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    case 2: tile_of(2, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    case 3: tile_of(3, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    case 4: tile_of(4, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    case 5: tile_of(5, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    default: tile_of(6, wide, pairs, a, a_row, a_pair, b, c, ldc, add, next); break;
    }
}

/* Fewer than 64 columns: whole vectors into room of our own, then what is wanted of them. */
static __attribute__((noinline)) void tile_narrow(size_t rows, size_t cols, size_t pairs, const uint16_t *a,
                                                  size_t a_row, size_t a_pair, const uint16_t *b, float *c,
                                                  size_t ldc, bool add, const char *next)
{
    _Alignas(64) float room[SIX * PANEL];
    for (size_t j = 0; j < cols; j += LANES)
        tile_wide(rows, 1, pairs, a, a_row, a_pair, b + 2 * j, room + j, PANEL, false, next);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            c[i * ldc + j] = room[i * PANEL + j] + (add ? c[i * ldc + j] : 0);
}

void TILE(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
          const uint16_t *b, float *c, size_t ldc, bool add, const void *next)
{
    if (cols < PANEL) {
        tile_narrow(rows, cols, pairs, a, a_row, a_pair, b, c, ldc, add, next);
        return;
    }
    for (size_t j = 0; j < PANEL; j += WIDE * LANES)
        tile_wide(rows, WIDE, pairs, a, a_row, a_pair, b + 2 * j, c + j, ldc, add, next);
}
