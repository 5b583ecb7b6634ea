/* kernels/linalg/pack/pack.c - the reference of pack.h, in plain loops */
#include "kernels/linalg/pack/pack.h"

#include <string.h>

uint16_t bf16_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40);      /* quiet, so that rounding cannot make it infinite */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float bf16_float(uint16_t x)
{
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static void from_f32(uint16_t *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_of(from[i]);
}

static void from_sum(uint16_t *to, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_of(a[i] + b[i]);
}

static void to_f32(float *to, const uint16_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_float(from[i]);
}

static void rows_f32(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r += 2, to += 2 * PANEL)
        for (size_t c = 0; c < PANEL; c++) {
            to[2 * c] = c < cols ? bf16_of(from[r * ld + c]) : 0;
            to[2 * c + 1] = c < cols && r + 1 < rows ? bf16_of(from[(r + 1) * ld + c]) : 0;
        }
}

static void rows_bf16(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r += 2, to += 2 * PANEL)
        for (size_t c = 0; c < PANEL; c++) {
            to[2 * c] = c < cols ? from[r * ld + c] : 0;
            to[2 * c + 1] = c < cols && r + 1 < rows ? from[(r + 1) * ld + c] : 0;
        }
}

static void six_f32(uint16_t *to, size_t stride, const float *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < (cols + SIX - 1) / SIX * SIX; c++) {
        uint16_t *at = to + c / SIX * stride + c % SIX * 2;
        for (size_t r = 0; r < rows; r += 2, at += 2 * SIX) {
            at[0] = c < cols ? bf16_of(from[r * ld + c]) : 0;
            at[1] = c < cols && r + 1 < rows ? bf16_of(from[(r + 1) * ld + c]) : 0;
        }
    }
}

static void six_bf16(uint16_t *to, size_t stride, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < (cols + SIX - 1) / SIX * SIX; c++) {
        uint16_t *at = to + c / SIX * stride + c % SIX * 2;
        for (size_t r = 0; r < rows; r += 2, at += 2 * SIX) {
            at[0] = c < cols ? from[r * ld + c] : 0;
            at[1] = c < cols && r + 1 < rows ? from[(r + 1) * ld + c] : 0;
        }
    }
}

static void columns_f32(uint16_t *to, const float *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += 2, to += 2 * PANEL)
        for (size_t r = 0; r < PANEL; r++) {
            to[2 * r] = r < rows ? bf16_of(from[r * ld + c]) : 0;
            to[2 * r + 1] = r < rows && c + 1 < cols ? bf16_of(from[r * ld + c + 1]) : 0;
        }
}

static void columns_bf16(uint16_t *to, const uint16_t *from, size_t ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += 2, to += 2 * PANEL)
        for (size_t r = 0; r < PANEL; r++) {
            to[2 * r] = r < rows ? from[r * ld + c] : 0;
            to[2 * r + 1] = r < rows && c + 1 < cols ? from[r * ld + c + 1] : 0;
        }
}

static void turn(uint16_t *to, const uint16_t *from, size_t cols)
{
    for (size_t r = 0; r < PANEL; r++)
        for (size_t c = 0; c < PANEL; c++)
            to[r / 2 * 2 * PANEL + 2 * c + r % 2] = c < cols ? from[c / 2 * 2 * PANEL + 2 * r + c % 2] : 0;
}

const struct pack pack_ref = {
    .rows_f32 = rows_f32, .rows_bf16 = rows_bf16, .six_f32 = six_f32, .six_bf16 = six_bf16,
    .columns_f32 = columns_f32, .columns_f32_out = columns_f32, .columns_bf16 = columns_bf16, .turn = turn,
    .from_f32 = from_f32, .to_f32 = to_f32, .from_sum = from_sum,
};
