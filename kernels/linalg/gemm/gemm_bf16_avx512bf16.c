/* kernels/linalg/gemm/gemm_bf16_avx512bf16.c - the tile with vdpbf16ps: 64 operations an instruction */
#ifdef __AVX512BF16__
#include <immintrin.h>
#include <stdint.h>

typedef __m512 vf;
typedef __m512i vp;
enum { LANES = 16, WIDE = 4 };
#define TILE gemm_bf16_tile_avx512bf16
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

static inline vf vp_mac(vf c, vp a, vp b)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

#include "kernels/linalg/gemm/gemm_bf16_tile.h"
#endif
