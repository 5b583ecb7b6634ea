/* kernels/linalg/gemm/gemm_bf16_neon.c - the tile with 4 lanes: pairs are widened to float32 */
#ifdef __aarch64__
#include <arm_neon.h>
#include <stdint.h>

typedef float32x4_t vf;
typedef uint32x4_t vp;
enum { LANES = 4, WIDE = 4 };           /* 24 sums */
#define TILE gemm_bf16_tile_neon
#define vf_zero() vdupq_n_f32(0)
#define vf_load(p) vld1q_f32(p)
#define vf_store(p, v) vst1q_f32(p, v)
#define vf_add(a, b) vaddq_f32(a, b)
#define vp_load(p) vreinterpretq_u32_u16(vld1q_u16(p))

static inline vp vp_spread(const uint16_t *p)
{
    uint32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return vdupq_n_u32(pair);
}

static inline vf half_low(vp x)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(x, 16));
}

static inline vf half_high(vp x)
{
    return vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xffff0000)));
}

static inline vf vp_mac(vf c, vp a, vp b)
{
    return vfmaq_f32(vfmaq_f32(c, half_high(a), half_high(b)), half_low(a), half_low(b));
}

#include "kernels/linalg/gemm/gemm_bf16_tile.h"
#endif
