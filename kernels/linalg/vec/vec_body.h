/* kernels/linalg/vec/vec_body.h - the functions of vec.h; included once by each vec_<set>.c, which defines VEC and PACK
 *
 * Loops are written so that compilers vectorise them: no calls, no branches, and
 * sums marked as free to be taken in lanes (a fixed order for one compiler and
 * one instruction set).
 * gelu(x) = x P(x) with P the normal distribution, p its density: gelu' = P + x p.
 * gelu_tanh(x) = x (1 + tanh(u)) / 2 = x / (1 + e^(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"
#include "kernels/linalg/vec/vmath.h"

#include <math.h>
#include <string.h>

#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"       /* clang leaves max_of scalar: as right, not as fast */
#endif

static void gelu(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float below, density;
        normal_f32(x[i], &below, &density);
        y[i] = x[i] * below;
    }
}

static inline float gelu_slope(float x)
{
    float below, density;
    normal_f32(x, &below, &density);
    return below + x * density;
}

static void gelu_back(float *restrict dx, bool add, const float *restrict x, const float *restrict dy, size_t n)
{
    if (add)
        for (size_t i = 0; i < n; i++)
            dx[i] += dy[i] * gelu_slope(x[i]);
    else
        for (size_t i = 0; i < n; i++)
            dx[i] = dy[i] * gelu_slope(x[i]);
}

#ifndef VEC_NARROW
/* y = gelu(x) and dx = dy gelu'(x), either NULL. */
static inline __attribute__((always_inline)) void gelus_narrow(uint16_t *dx, uint16_t *y, const float *dy, const uint16_t *x,
                                                              size_t n)
{
    enum { BLOCK = 256 };
    float a[BLOCK], d[BLOCK];
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t some = n - at < BLOCK ? n - at : BLOCK;
        PACK.to_f32(a, x + at, some);
        for (size_t i = 0; i < some; i++) {
            float below, density;
            normal_f32(a[i], &below, &density);
            if (dx)
                d[i] = dy[at + i] * (below + a[i] * density);
            a[i] *= below;
        }
        if (dx)
            PACK.from_f32(dx + at, d, some);
        if (y)
            PACK.from_f32(y + at, a, some);
    }
}

static void gelu_narrow(uint16_t *y, const uint16_t *x, size_t n) { gelus_narrow(NULL, y, NULL, x, n); }

static void gelu_back_narrow(uint16_t *dx, uint16_t *y, const float *dy, const uint16_t *x, size_t n)
{
    gelus_narrow(dx, y, dy, x, n);
}
#endif

/* (1 + tanh(u)) / 2 */
static inline float gelu_share(float x)
{
    return 1.0f / (1.0f + exp_f32(-2.0f * 0.7978845608f * (x + 0.044715f * x * x * x)));
}

static void gated(float *restrict y, const float *restrict x, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * gelu_share(x[i]) * z[i];
}

static void gated_back(float *dx, bool add_x, float *dz, bool add_z, const float *restrict x, const float *restrict z,
                       const float *restrict dy, size_t n)
{
    enum { BLOCK = 256 };
    float gx[BLOCK], gz[BLOCK];
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t some = n - at < BLOCK ? n - at : BLOCK;
        for (size_t i = 0; i < some; i++) {
            float a = x[at + i], s = gelu_share(a);
            float slope = 2.0f * 0.7978845608f * (1.0f + 3.0f * 0.044715f * a * a);
            gx[i] = dy[at + i] * z[at + i] * (s + a * s * (1.0f - s) * slope);
            gz[i] = dy[at + i] * a * s;
        }
        if (dx && add_x)
            for (size_t i = 0; i < some; i++)
                dx[at + i] += gx[i];
        else if (dx)
            for (size_t i = 0; i < some; i++)
                dx[at + i] = gx[i];
        if (dz && add_z)
            for (size_t i = 0; i < some; i++)
                dz[at + i] += gz[i];
        else if (dz)
            for (size_t i = 0; i < some; i++)
                dz[at + i] = gz[i];
    }
}

static float max_of(const float *x, size_t n)
{
    float max = -INFINITY;
#pragma omp simd reduction(max : max)
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static double sum(const float *x, size_t n)
{
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t i = 0; i < n; i++)
        s += (double)x[i];
    return s;
}

static double squares(const float *x, size_t n)
{
    enum { WIDE = 64, FLUSH = 4096 };
    double s = 0;
    for (size_t at = 0; at < n; at += FLUSH) {
        size_t some = n - at < FLUSH ? n - at : FLUSH, even = some / WIDE * WIDE;
        float part[WIDE] = {0}, rest = 0;
        for (size_t i = at; i < at + even; i += WIDE)
#pragma omp simd
            for (size_t c = 0; c < WIDE; c++)
                part[c] += x[i + c] * x[i + c];
        for (size_t i = at + even; i < at + some; i++)
            rest += x[i] * x[i];
        for (size_t half = WIDE / 2; half; half /= 2)
            for (size_t c = 0; c < half; c++)
                part[c] += part[c + half];
        s += (double)(part[0] + rest);
    }
    return s;
}

static float dot(const float *x, const float *y, size_t n)
{
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t i = 0; i < n; i++)
        s += x[i] * y[i];
    return s;
}

static float dot_half(const uint16_t *x, const uint16_t *y, size_t n)
{
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t i = 0; i < n; i++) {
        union { uint32_t bits; float value; } a = { (uint32_t)x[i] << 16 }, b = { (uint32_t)y[i] << 16 };
        s += a.value * b.value;
    }
    return s;
}

enum { COLUMNS = 64, SUMMED = 64 };     /* at once, in registers; rows, whose sums are added */

static void columns(float *restrict sum, const float *restrict x, size_t ld, size_t rows, size_t n)
{
    memset(sum, 0, n * sizeof *sum);
    for (size_t from = 0; from < rows; from += SUMMED)
        for (size_t at = 0; at < n; at += COLUMNS) {
            size_t some = n - at < COLUMNS ? n - at : COLUMNS, to = rows - from < SUMMED ? rows : from + SUMMED;
            float s[COLUMNS] = { 0 };
            for (size_t r = from; r < to; r++)
                for (size_t c = 0; c < some; c++)
                    s[c] += x[r * ld + at + c];
            for (size_t c = 0; c < some; c++)
                sum[at + c] += s[c];
        }
}

static inline __attribute__((always_inline)) void columns_some(float *sum, const uint16_t *x, size_t ld, size_t rows, size_t n)
{
    float all[COLUMNS] = { 0 };
    for (size_t from = 0; from < rows; from += SUMMED) {
        size_t to = rows - from < SUMMED ? rows : from + SUMMED;
        float s[COLUMNS] = { 0 };
        for (size_t r = from; r < to; r++)
            for (size_t c = 0; c < n; c++) {
                union { uint32_t bits; float value; } a = { (uint32_t)x[r * ld + c] << 16 };
                s[c] += a.value;
            }
        for (size_t c = 0; c < n; c++)
            all[c] += s[c];
    }
    memcpy(sum, all, n * sizeof *sum);
}

static void columns_half(float *restrict sum, const uint16_t *restrict x, size_t ld, size_t rows, size_t n)
{
    size_t at = 0;
    for (; at + 48 <= n; at += 48)      /* constants: sums stay in registers */
        columns_some(sum + at, x + at, ld, rows, 48);
    for (; at + 16 <= n; at += 16)
        columns_some(sum + at, x + at, ld, rows, 16);
    if (at < n)
        columns_some(sum + at, x + at, ld, rows, n - at);
}

static float exp_sum(float *y, const float *x, float scale, float shift, size_t n)
{
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t i = 0; i < n; i++) {
        y[i] = exp_f32(scale * x[i] - shift);
        s += y[i];
    }
    return s;
}

static void softmax_back(float *y, const float *x, float shift, float share, float even, float cap2, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = (exp_f32(x[i] - shift) * share - even) * (1.0f - cap2 * x[i] * x[i]);
}

static void cap(float *y, const float *x, float limit, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = limit * tanh_f32(x[i] / limit);
}

#ifndef VEC_NARROW
static float attend(uint16_t *p, float *s, float scale, float shift, size_t n)
{
    float all = exp_sum(s, s, scale, shift, n);
    PACK.from_f32(p, s, n);
    return all;
}
#endif

static void attend_back(uint16_t *p, uint16_t *ds, float *restrict s, float *restrict dp, const float *restrict lse,
                        const float *restrict dots, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i] = exp_f32(scale * s[i] - lse[i]);
    for (size_t i = 0; i < n; i++)
        dp[i] = s[i] * (dp[i] - dots[i]) * scale;
    PACK.from_f32(p, s, n);
    PACK.from_f32(ds, dp, n);
}

static void norm(float *restrict y, const float *restrict x, const struct norm_row *r, float *mean, float *scale, size_t n)
{
    float total = 0, square = 0;
    if (r->centre) {
#pragma omp simd reduction(+ : total)
        for (size_t i = 0; i < n; i++)
            total += x[i];
    }
    const float m = total / (float)n;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++)
        square += (x[i] - m) * (x[i] - m);
    const float s = 1.0f / sqrtf(square / (float)n + r->eps);
    const float *restrict w = r->w, *restrict b = r->b;
    if (w && b)
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) * s * (r->offset + w[i]) + b[i];
    else if (w)
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) * s * (r->offset + w[i]);
    else
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - m) * s;
    if (mean)
        *mean = m;
    if (scale)
        *scale = s;
}

static void norm_affine(float *restrict y, const float *restrict h, const struct norm_row *r, size_t n)
{
    const float *restrict w = r->w, *restrict b = r->b, offset = r->offset;
    if (w && b)
        for (size_t i = 0; i < n; i++)
            y[i] = h[i] * (offset + w[i]) + b[i];
    else
        for (size_t i = 0; i < n; i++)
            y[i] = h[i] * (w ? offset + w[i] : 1.0f);
}

/* g = dy (offset + w);  dx (+)= slope (g - mean(g) - h mean(g h)). */
static void norm_back(float *restrict dx, bool add, const float *restrict x, const float *restrict dy,
                      const struct norm_row *r, float mean, float scale, float slope, size_t n)
{
    const float *restrict w = r->w;
    float sum_g = 0, sum_gh = 0, offset = r->offset;
    if (w) {
#pragma omp simd reduction(+ : sum_g, sum_gh)
        for (size_t i = 0; i < n; i++) {
            float g = dy[i] * (offset + w[i]);
            sum_g += g;
            sum_gh += g * (x[i] - mean) * scale;
        }
    } else {
#pragma omp simd reduction(+ : sum_g, sum_gh)
        for (size_t i = 0; i < n; i++) {
            sum_g += dy[i];
            sum_gh += dy[i] * (x[i] - mean) * scale;
        }
    }
    float mg = r->centre ? sum_g / (float)n : 0, mgh = sum_gh / (float)n;
    if (w && add)
        for (size_t i = 0; i < n; i++)
            dx[i] += slope * (dy[i] * (offset + w[i]) - mg - (x[i] - mean) * scale * mgh);
    else if (w)
        for (size_t i = 0; i < n; i++)
            dx[i] = slope * (dy[i] * (offset + w[i]) - mg - (x[i] - mean) * scale * mgh);
    else
        for (size_t i = 0; i < n; i++)
            dx[i] = (add ? dx[i] : 0) + slope * (dy[i] - mg - (x[i] - mean) * scale * mgh);
}

static void norm_weight(float *restrict dw, const float *restrict x, const float *restrict dy, float mean, float scale,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        dw[i] += dy[i] * (x[i] - mean) * scale;
}

static void add(float *y, const float *a, const float *b, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

/* y may be x: both halves of an element are read before either is written. */
static void rope(float *y, bool more, const float *x, const float *c, const float *s, float sign, size_t half)
{
    if (more) {
#pragma omp simd
        for (size_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half], sin = sign * s[i];
            y[i] += a * c[i] - b * sin;
            y[i + half] += b * c[i] + a * sin;
        }
    } else {
#pragma omp simd
        for (size_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half], sin = sign * s[i];
            y[i] = a * c[i] - b * sin;
            y[i + half] = b * c[i] + a * sin;
        }
    }
}

static void adamw(float *restrict w, float *restrict m, float *restrict v, const float *restrict g,
                  const struct adamw_row *a, size_t n)
{
    const struct adamw_row r = *a;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * r.factor;
        m[i] = r.beta1 * m[i] + r.share1 * d;
        v[i] = r.beta2 * v[i] + r.share2 * d * d;
        w[i] = w[i] * r.keep - r.rate * m[i] / (sqrtf(v[i]) / r.root + r.epsilon);
    }
}

const struct vec VEC = {
    .gelu = gelu, .gelu_back = gelu_back, .gelu_narrow = gelu_narrow,
    .gelu_back_narrow = gelu_back_narrow, .gated = gated, .gated_back = gated_back, .max = max_of, .sum = sum,
    .squares = squares, .dot = dot, .dot_half = dot_half, .columns = columns, .columns_half = columns_half,
    .exp_sum = exp_sum, .softmax_back = softmax_back, .cap = cap,
    .attend = attend, .attend_back = attend_back, .norm = norm, .norm_affine = norm_affine, .norm_back = norm_back,
    .norm_weight = norm_weight, .add = add, .rope = rope, .adamw = adamw,
};
