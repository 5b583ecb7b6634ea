/* kernels/linalg/vec/vec_avx512bf16.c - vec.h with 16 lanes, and the functions with bfloat16 results by hand
 *
 * What is rounded to bfloat16 (8 bits) needs no exp of full precision: 2^f by a
 * polynomial of degree 4, our own fit, relative error 6e-6. */
#ifdef __AVX512BF16__
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

static inline __m512 exp2_short(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);      /* of -inf f would be NaN; in this order NaN stays */
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(0.0093590523f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0558868229f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2402937414f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931265710f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.9999981175f));
    return _mm512_scalef_ps(p, n);
}

static inline __mmask16 lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

static const float log2_e = 1.44269504f;

static float attend(uint16_t *p, float *s, float scale, float shift, size_t n)
{
    const __m512 a = _mm512_set1_ps(scale * log2_e), b = _mm512_set1_ps(shift * log2_e);
    __m512 sum = _mm512_setzero_ps(), sum1 = sum;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 x = exp2_short(_mm512_fmsub_ps(_mm512_loadu_ps(s + i), a, b));
        __m512 y = exp2_short(_mm512_fmsub_ps(_mm512_loadu_ps(s + i + 16), a, b));
        sum = _mm512_add_ps(sum, x);
        sum1 = _mm512_add_ps(sum1, y);
        _mm512_storeu_si512(p + i, (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 x = _mm512_maskz_mov_ps(m, exp2_short(_mm512_fmsub_ps(_mm512_maskz_loadu_ps(m, s + i), a, b)));
        sum = _mm512_add_ps(sum, x);
        _mm256_mask_storeu_epi16(p + i, m, (__m256i)_mm512_cvtneps_pbh(x));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum, sum1));
}

/* Of 16 numbers: P(X <= x) and e^(-x^2 / 2).  e^(a^2/2) P(X > a) as t times a polynomial in t = 1 / (1 + 0.38 a),
 * our own fit, relative error 4e-5 with that of 1 / as the processor estimates it. */
static inline __m512 normal_short(__m512 x, __m512 *e)
{
    __m512 a = _mm512_abs_ps(x), one = _mm512_set1_ps(1.0f);
    __m512 t = _mm512_rcp14_ps(_mm512_fmadd_ps(a, _mm512_set1_ps(0.38f), one));
    *e = exp2_short(_mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.5f * log2_e)));
    __m512 g = _mm512_set1_ps(-0.0899255671f);
    g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1888699058f));
    g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.0919854015f));
    g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1578273548f));
    g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1512254257f));
    __m512 q = _mm512_mul_ps(_mm512_mul_ps(*e, t), g);
    return _mm512_mask_sub_ps(q, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLT_UQ), one, q);
}

static inline __m512 widened(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
static inline __m512 wide_load(const uint16_t *x) { return widened(_mm256_loadu_si256((const __m256i *)(const void *)x)); }
static inline __m512 wide_some(const uint16_t *x, __mmask16 m) { return widened(_mm256_maskz_loadu_epi16(m, x)); }
static inline void narrow_both(uint16_t *y, __m512 low, __m512 high)
{
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
static inline void narrow_some(uint16_t *y, __mmask16 m, __m512 x)
{
    _mm256_mask_storeu_epi16(y, m, (__m256i)_mm512_cvtneps_pbh(x));
}

static inline __m512 gelu_short(__m512 x)
{
    __m512 e;
    return _mm512_mul_ps(x, normal_short(x, &e));
}

static void gelu_narrow(uint16_t *y, const uint16_t *x, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32)                /* masked stores cost: only at the end */
        narrow_both(y + i, gelu_short(wide_load(x + i)), gelu_short(wide_load(x + i + 16)));
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        narrow_some(y + i, m, gelu_short(wide_some(x + i, m)));
    }
}

/* dy gelu'(x), and *y = gelu(x). */
static inline __m512 gelu_back_short(__m512 x, __m512 dy, __m512 *y)
{
    __m512 e, below = normal_short(x, &e);
    *y = _mm512_mul_ps(x, below);
    return _mm512_mul_ps(_mm512_fmadd_ps(_mm512_mul_ps(x, e), _mm512_set1_ps(0.398942280f), below), dy);
}

static void gelu_back_narrow(uint16_t *dx, uint16_t *y, const float *dy, const uint16_t *x, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 low, high, dx_low = gelu_back_short(wide_load(x + i), _mm512_loadu_ps(dy + i), &low);
        narrow_both(dx + i, dx_low, gelu_back_short(wide_load(x + i + 16), _mm512_loadu_ps(dy + i + 16), &high));
        if (y)
            narrow_both(y + i, low, high);
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 some;
        narrow_some(dx + i, m, gelu_back_short(wide_some(x + i, m), _mm512_maskz_loadu_ps(m, dy + i), &some));
        if (y)
            narrow_some(y + i, m, some);
    }
}

#define VEC_NARROW
#define VEC vec_avx512bf16
#define PACK pack_avx512bf16
#include "kernels/linalg/vec/vec_body.h"
#endif
