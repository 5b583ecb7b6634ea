/* kernels/linalg/gemm/gemm_bf16_ref.c - the tile in plain C: what it computes */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/pack/pack.h"

void gemm_bf16_tile_ref(size_t rows, size_t cols, size_t pairs, const uint16_t *a, size_t a_row, size_t a_pair,
                        const uint16_t *b, float *c, size_t ldc, bool add, const void *next)
{
    (void)next;
    for (size_t i = 0; i < rows; i++) {
        float sum[PANEL] = {0};
        for (size_t p = 0; p < pairs; p++) {
            const uint16_t *pair = a + i * a_row + p * a_pair, *from = b + p * 2 * PANEL;
            float low = bf16_float(pair[0]), high = bf16_float(pair[1]);
            for (size_t j = 0; j < cols; j++)
                sum[j] += low * bf16_float(from[2 * j]) + high * bf16_float(from[2 * j + 1]);
        }
        for (size_t j = 0; j < cols; j++)
            c[i * ldc + j] = sum[j] + (add ? c[i * ldc + j] : 0);
    }
}
