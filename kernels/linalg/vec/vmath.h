/* kernels/linalg/vec/vmath.h - exp and the normal distribution in float32, without branches or calls, so that loops of
 * them vectorise
 *
 * Coefficients are our own least-squares fits (relative error 2e-9 and 3.4e-8, so
 * rounding dominates: about 2 units in the last place). */
#ifndef PENSTOCK_VMATH_H
#define PENSTOCK_VMATH_H

#include <stdint.h>
#include <string.h>

/* e^x; 0 below -87.3, 1.7e38 above 88; NaN stays. */
static inline float exp_f32(float x)
{
    float y = x > 88.0f ? 88.0f : x < -88.0f ? -88.0f : x;
    float n = y * 1.44269504f + 12582912.0f;    /* 1.5 * 2^23: rounds to a whole number */
    int32_t bits;
    memcpy(&bits, &n, 4);
    n -= 12582912.0f;
    float r = y - n * 0.693359375f;             /* ln 2 in two parts, the first exact in products */
    r += n * 2.12194440e-4f;
    float p = 0.00138368353f;
    p = p * r + 0.00837482419f;
    p = p * r + 0.0416682251f;
    p = p * r + 0.166664198f;
    p = p * r + 0.499999911f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t e = (int32_t)((uint32_t)(bits - 0x4b400000 + 127) << 23);
    float two;
    memcpy(&two, &e, 4);
    return x < -87.3f ? 0.0f : p * two;
}

/* P(X <= x) and the density of the standard normal distribution. */
static inline void normal_f32(float x, float *below, float *density)
{
    float a = x < 0 ? -x : x;
    float t = 1.0f / (1.0f + 0.3f * a);
    float e = exp_f32(-0.5f * x * x);
    float g = -0.00450917983f;                  /* e^(a^2/2) P(X > a) as a polynomial in t */
    g = g * t + 0.0618145615f;
    g = g * t + -0.221670464f;
    g = g * t + 0.295039862f;
    g = g * t + -0.128567144f;
    g = g * t + 0.168738097f;
    g = g * t + 0.0862391293f;
    g = g * t + 0.123597607f;
    g = g * t + 0.119301595f;
    g = g * t + 1.59527626e-05f;
    float q = e * g;
    *below = x < 0 ? q : 1.0f - q;
    *density = 0.398942280f * e;
}

static inline float tanh_f32(float x)
{
    float a = x < 0 ? -x : x;
    float e = exp_f32(-2.0f * a);
    float far = (1.0f - e) / (1.0f + e);
    float u = x * x;                            /* small: the difference above cancels */
    float near = a * (1.0f + u * (-0.333333333f + u * (0.133333333f + u * (-0.053968254f + u * 0.021869489f))));
    float y = a < 0.25f ? near : far;
    return x < 0 ? -y : y;
}

#endif
