/* kernels/linalg/pack/pack_avx512bf16.c - pack.h with vcvtne2ps2bf16 and permutations of whole registers
 *
 * The conversion takes denormals for zero, which the reference does not. */
#ifdef __AVX512BF16__
#include "kernels/linalg/inline.h"
#include "kernels/linalg/pack/pack.h"

#include <immintrin.h>
#include <stdbool.h>

/* Takes the lower half's element i to 2i and the upper half's to 2i + 1. */
static inline __m512i zip_halves(void)
{
    return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                            19, 3, 18, 2, 17, 1, 16, 0);
}

/* Elements 0 to 15 of two registers, zipped; with 16 added to each index, elements 16 to 31. */
static inline __m512i zip_two(void)
{
    return _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4,
                            35, 3, 34, 2, 33, 1, 32, 0);
}

static inline __mmask16 mask16(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

static inline __mmask32 mask32(size_t n)
{
    return (__mmask32)(n >= 32 ? 0xffffffff : (1u << n) - 1);
}

static inline size_t beyond(size_t n, size_t from)
{
    return n > from ? n - from : 0;
}

/* 16 columns of two rows as 16 pairs; odd: there is no second row. */
static inline __m512i pairs_f32(const float *row, size_t ld, __mmask16 m, __mmask16 odd, __m512i zip)
{
    __m512 low = _mm512_maskz_loadu_ps(m, row), high = _mm512_maskz_loadu_ps((__mmask16)(m & ~odd), row + (odd ? 0 : ld));
    return _mm512_permutexvar_epi16(zip, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

static void rows_f32(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols)
{
    const __m512i zip = zip_halves();
    __mmask16 m[4];
    for (size_t j = 0; j < 4; j++)
        m[j] = mask16(beyond(cols, 16 * j));
    for (size_t r = 0; r < rows; r += 2, to += 2 * PANEL, from += 2 * ld) {
        __mmask16 odd = r + 1 < rows ? 0 : 0xffff;
        for (size_t j = 0; j < 4; j++)
            _mm512_storeu_si512(to + 32 * j, pairs_f32(from + 16 * j, ld, m[j], odd, zip));
    }
}

enum { AHEAD = 32 };            /* rows: few columns of long rows, which the processor does not foresee */

/* The first lines of two rows, and those that hold element `last`. */
static inline void rows_ask(const uint16_t *from, size_t ld, size_t last)
{
    for (size_t r = 0; r < 2; r++, from += ld) {
        _mm_prefetch((const char *)from, _MM_HINT_T0);
        _mm_prefetch((const char *)(from + last), _MM_HINT_T0);
    }
}

static void rows_bf16(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    const __m512i zip = zip_two(), zip16 = _mm512_add_epi16(zip, _mm512_set1_epi16(16));
    const __mmask32 m[2] = {mask32(cols), mask32(beyond(cols, 32))};
    for (size_t r = 0; r < rows; r += 2, to += 2 * PANEL, from += 2 * ld) {
        const uint16_t *second = r + 1 < rows ? from + ld : from;
        __mmask32 odd = r + 1 < rows ? 0 : 0xffffffff;
        if (r + AHEAD < rows)
            rows_ask(from + AHEAD * ld, ld, 32);
        for (size_t j = 0; j < 2; j++) {
            __m512i low = _mm512_maskz_loadu_epi16(m[j], from + 32 * j);
            __m512i high = _mm512_maskz_loadu_epi16(m[j] & ~odd, second + 32 * j);
            _mm512_storeu_si512(to + 64 * j, _mm512_permutex2var_epi16(low, zip, high));
            _mm512_storeu_si512(to + 64 * j + 32, _mm512_permutex2var_epi16(low, zip16, high));
        }
    }
}

/* 48 pairs to the same pair of 8 sixes.  Whole half registers are written, so the
 * 4 elements after are wrong until the next pair is; the last pair stores 6 alone. */
static inline void six_store(uint16_t *to, size_t stride, size_t sixes, __m512i a, __m512i b, __m512i c, bool last)
{
    const __m512i of[SIXES] = {a,
                               _mm512_alignr_epi32(a, a, 6),
                               _mm512_alignr_epi32(b, a, 12),
                               _mm512_alignr_epi32(b, b, 2),
                               _mm512_alignr_epi32(b, b, 8),
                               _mm512_alignr_epi32(c, b, 14),
                               _mm512_alignr_epi32(c, c, 4),
                               _mm512_alignr_epi32(c, c, 10)};
    if (sixes == SIXES && !last) {
#pragma GCC unroll 8
        for (size_t g = 0; g < SIXES; g++)
            _mm256_storeu_si256((__m256i *)(void *)(to + g * stride), _mm512_castsi512_si256(of[g]));
    } else {
        for (size_t g = 0; g < sixes; g++)
            _mm256_mask_storeu_epi32(to + g * stride, 0x3f, _mm512_castsi512_si256(of[g]));
    }
}

static void six_f32(uint16_t *to, size_t stride, const float *from, size_t ld, size_t rows, size_t cols)
{
    const __m512i zip = zip_halves();
    const __mmask16 m[3] = {mask16(cols), mask16(beyond(cols, 16)), mask16(beyond(cols, 32))};
    size_t sixes = (cols + SIX - 1) / SIX;
    for (size_t r = 0; r < rows; r += 2, to += 2 * SIX, from += 2 * ld) {
        __mmask16 odd = r + 1 < rows ? 0 : 0xffff;
        six_store(to, stride, sixes, pairs_f32(from, ld, m[0], odd, zip), pairs_f32(from + 16, ld, m[1], odd, zip),
                  pairs_f32(from + 32, ld, m[2], odd, zip), r + 2 >= rows);
    }
}

static void six_bf16(uint16_t *to, size_t stride, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    const __m512i zip = zip_two(), zip16 = _mm512_add_epi16(zip, _mm512_set1_epi16(16));
    const __mmask32 m0 = mask32(cols), m1 = mask32(beyond(cols, 32));
    size_t sixes = (cols + SIX - 1) / SIX;
    for (size_t r = 0; r < rows; r += 2, to += 2 * SIX, from += 2 * ld) {
        const uint16_t *second = r + 1 < rows ? from + ld : from;
        __mmask32 odd = r + 1 < rows ? 0 : 0xffffffff;
        __m512i low = _mm512_maskz_loadu_epi16(m0, from), high = _mm512_maskz_loadu_epi16(m0 & ~odd, second);
        if (r + AHEAD < rows)
            rows_ask(from + AHEAD * ld, ld, 47);
        __m512i low1 = _mm512_maskz_loadu_epi16(m1, from + 32), high1 = _mm512_maskz_loadu_epi16(m1 & ~odd, second + 32);
        six_store(to, stride, sixes, _mm512_permutex2var_epi16(low, zip, high),
                  _mm512_permutex2var_epi16(low, zip16, high), _mm512_permutex2var_epi16(low1, zip, high1),
                  r + 2 >= rows);
    }
}

/* Rows and columns of 16 by 16 32-bit elements change places. */
static inline void transpose(__m512i x[16])
{
    __m512i y[16];
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(x[i], x[i + 1]), b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]), d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
        y[i] = _mm512_unpacklo_epi64(a, c), y[i + 1] = _mm512_unpackhi_epi64(a, c);
        y[i + 2] = _mm512_unpacklo_epi64(b, d), y[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(y[i], y[i + 4], 0x88), b = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0x88);
        __m512i c = _mm512_shuffle_i32x4(y[i], y[i + 4], 0xdd), d = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0xdd);
        x[i] = _mm512_shuffle_i32x4(a, b, 0x88), x[i + 8] = _mm512_shuffle_i32x4(a, b, 0xdd);
        x[i + 4] = _mm512_shuffle_i32x4(c, d, 0x88), x[i + 12] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

/* Columns c ... c + 31 of a row, those that m covers. */
INLINE __m512i row_f32(const float *row, __mmask32 m)
{
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps((__mmask16)(m >> 16), row + 16),
                                        _mm512_maskz_loadu_ps((__mmask16)m, row));
}

/* f32: what `from` is; out: past the caches.  Both are constants where this is inlined. */
INLINE void columns_to(const bool f32, const bool out, uint16_t *to, const void *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += 32) {
        __mmask32 m = mask32(cols - c);
        size_t pairs = cols - c >= 32 ? 16 : (cols - c + 1) / 2;
        for (size_t r = 0; r < PANEL; r += 16) {
            __m512i x[16];
#pragma GCC unroll 16
            for (size_t i = 0; i < 16; i++) {
                size_t at = (r + i) * ld + c;
                if (r + i >= rows)
                    x[i] = _mm512_setzero_si512();
                else
                    x[i] = f32 ? row_f32((const float *)from + at, m)
                               : _mm512_maskz_loadu_epi16(m, (const uint16_t *)from + at);
            }
            transpose(x);
            if (pairs == 16) {
#pragma GCC unroll 16
                for (size_t p = 0; p < 16; p++) {
                    void *at = to + (c / 2 + p) * 2 * PANEL + 2 * r;
                    if (out)
                        _mm512_stream_si512(at, x[p]);
                    else
                        _mm512_storeu_si512(at, x[p]);
                }
            } else {
                for (size_t p = 0; p < pairs; p++)
                    _mm512_storeu_si512(to + (c / 2 + p) * 2 * PANEL + 2 * r, x[p]);
            }
        }
    }
}

static void columns_f32(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols)
{
    columns_to(true, false, to, from, ld, rows, cols);
}

static void columns_f32_out(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols)
{
    columns_to(true, true, to, from, ld, rows, cols);
    _mm_sfence();
}

static void columns_bf16(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    columns_to(false, false, to, from, ld, rows, cols);
}

static void from_f32(uint16_t *to, const float *from, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16),
                                                                 _mm512_loadu_ps(from + i)));
    if (i < n) {
        __m512 low = _mm512_maskz_loadu_ps(mask16(n - i), from + i);
        __m512 high = _mm512_maskz_loadu_ps(mask16(beyond(n, i + 16)), from + i + 16);
        _mm512_mask_storeu_epi16(to + i, mask32(n - i), (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

static void from_sum(uint16_t *to, const float *a, const float *b, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 low = _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        __m512 high = _mm512_add_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16));
        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    if (i < n) {
        __mmask16 m = mask16(n - i), m1 = mask16(beyond(n, i + 16));
        __m512 low = _mm512_add_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i));
        __m512 high = _mm512_add_ps(_mm512_maskz_loadu_ps(m1, a + i + 16), _mm512_maskz_loadu_ps(m1, b + i + 16));
        _mm512_mask_storeu_epi16(to + i, mask32(n - i), (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

static void to_f32(float *to, const uint16_t *from, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {              /* without a mask, which costs on some processors */
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
        _mm512_storeu_si512(to + i, _mm512_slli_epi32(wide, 16));
    }
    if (i < n) {
        __mmask16 m = mask16(n - i);
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, from + i));
        _mm512_mask_storeu_epi32(to + i, m, _mm512_slli_epi32(wide, 16));
    }
}

/* Two rows by two columns are 64 bits: within, the middle two elements change
 * places; of 8 by 8 such, rows and columns do. */
static void turn(uint16_t *to, const uint16_t *from, size_t cols)
{
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi8(15, 14, 11, 10, 13, 12, 9, 8, 7, 6, 3, 2, 5, 4, 1, 0));
    size_t pairs = (cols + 1) / 2;
    for (size_t p = 0; p < PANEL / 2; p += 8)
        for (size_t r = 0; r < PANEL; r += 16) {
            __m512i x[8], y[8];
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                x[i] = p + i < pairs ? _mm512_shuffle_epi8(_mm512_loadu_si512(from + (p + i) * 2 * PANEL + 2 * r), swap)
                                     : _mm512_setzero_si512();
#pragma GCC unroll 4
            for (size_t i = 0; i < 8; i += 2) {
                y[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
                y[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
            }
#pragma GCC unroll 2
            for (size_t i = 0; i < 2; i++) {
                __m512i a = _mm512_shuffle_i64x2(y[i], y[i + 2], 0x88), b = _mm512_shuffle_i64x2(y[i], y[i + 2], 0xdd);
                __m512i c = _mm512_shuffle_i64x2(y[i + 4], y[i + 6], 0x88);
                __m512i d = _mm512_shuffle_i64x2(y[i + 4], y[i + 6], 0xdd);
                x[i] = _mm512_shuffle_i64x2(a, c, 0x88), x[i + 4] = _mm512_shuffle_i64x2(a, c, 0xdd);
                x[i + 2] = _mm512_shuffle_i64x2(b, d, 0x88), x[i + 6] = _mm512_shuffle_i64x2(b, d, 0xdd);
            }
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                _mm512_storeu_si512(to + (r / 2 + i) * 2 * PANEL + 4 * p, x[i]);
        }
}

const struct pack pack_avx512bf16 = {
    .rows_f32 = rows_f32, .rows_bf16 = rows_bf16, .six_f32 = six_f32, .six_bf16 = six_bf16,
    .columns_f32 = columns_f32, .columns_f32_out = columns_f32_out, .columns_bf16 = columns_bf16, .turn = turn,
    .from_f32 = from_f32, .to_f32 = to_f32, .from_sum = from_sum,
};
#endif
