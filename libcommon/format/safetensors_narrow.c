/* libcommon/format/safetensors_narrow.c - float32 to the shorter types of a file, rounding to nearest even */
#include <string.h>

#include "libcommon/format/safetensors.h"

/* NaN stays NaN: its top bits alone might read as infinity. */
static uint16_t to_bf16(uint32_t bits)
{
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t to_f16(uint32_t bits)
{
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t rest = bits & 0x7fffffff;
    if (rest > 0x7f800000)
        return sign | 0x7e00;
    if (rest >= 0x477ff000)                 /* rounds beyond 65504 */
        return sign | 0x7c00;
    if (rest >= 0x38800000)                 /* normal: 2^-14 and more */
        return (uint16_t)(sign | ((rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13));
    if (rest < 0x33000000)                  /* below half of the smallest */
        return sign;
    uint32_t shift = 126 - (rest >> 23), m = (rest & 0x7fffff) | 0x800000;
    uint32_t half = 1u << (shift - 1), odd = m >> shift & 1;
    return (uint16_t)(sign | ((m + half - 1 + odd) >> shift));
}

void st_from_f32(const float *from, size_t n, enum st_dtype d, void *to)
{
    uint8_t *out = to;
    if (d == ST_F32) {
        memcpy(to, from, n * sizeof *from);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, from + i, sizeof bits);
        uint16_t v = d == ST_BF16 ? to_bf16(bits) : to_f16(bits);
        out[2 * i] = (uint8_t)v;
        out[2 * i + 1] = (uint8_t)(v >> 8);
    }
}
