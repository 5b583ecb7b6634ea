/* tests/unit/noise.c - see noise.h */
#include "tests/unit/noise.h"

#include <stdint.h>
#include <stdlib.h>

float noise(void)
{
    static uint32_t seed = 1;
    /* Numerical Recipes' generator; its upper bits are the better ones */
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

float *noise_new(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
    return x;
}
