/* kernels/linalg/gemm/gemm_bf16_avx2.c - the tile with 8 lanes: pairs are widened to float32 */
#ifdef __AVX2__
#include <immintrin.h>
#include <stdint.h>

typedef __m256 vf;
typedef __m256i vp;
enum { LANES = 8, WIDE = 1 };           /* 6 sums: enough for the two multipliers, and 16 registers do */
#define TILE gemm_bf16_tile_avx2
#define vf_zero() _mm256_setzero_ps()
#define vf_load(p) _mm256_loadu_ps(p)
#define vf_store(p, v) _mm256_storeu_ps(p, v)
#define vf_add(a, b) _mm256_add_ps(a, b)
#define vp_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))

static inline vp vp_spread(const uint16_t *p)
{
    int pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm256_set1_epi32(pair);
}

static inline vf half_low(vp x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}

static inline vf half_high(vp x)
{
    return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)));
}

static inline vf vp_mac(vf c, vp a, vp b)
{
    return _mm256_fmadd_ps(half_low(a), half_low(b), _mm256_fmadd_ps(half_high(a), half_high(b), c));
}

#include "kernels/linalg/gemm/gemm_bf16_tile.h"
#endif
