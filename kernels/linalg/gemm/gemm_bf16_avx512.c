/* kernels/linalg/gemm/gemm_bf16_avx512.c - the tile without bfloat16 instructions: pairs are widened to float32 */
#ifdef __AVX512F__
#include <immintrin.h>
#include <stdint.h>

typedef __m512 vf;
typedef __m512i vp;
enum { LANES = 16, WIDE = 2 };          /* 12 sums: the halves of b and a take the other registers */
#define TILE gemm_bf16_tile_avx512
#define vf_zero() _mm512_setzero_ps()
#define vf_load(p) _mm512_loadu_ps(p)
#define vf_store(p, v) _mm512_storeu_ps(p, v)
#define vf_add(a, b) _mm512_add_ps(a, b)
#define vp_load(p) _mm512_loadu_si512(p)

static inline vp vp_spread(const uint16_t *p)
{
    int pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
}

static inline vf half_low(vp x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

static inline vf half_high(vp x)
{
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
}

static inline vf vp_mac(vf c, vp a, vp b)
{
    return _mm512_fmadd_ps(half_low(a), half_low(b), _mm512_fmadd_ps(half_high(a), half_high(b), c));
}

#include "kernels/linalg/gemm/gemm_bf16_tile.h"
#endif
