/* kernels/linalg/gemm/gemm_bf16_ends.c - both ends of a bfloat16 product: rows that are copied in, blocks that are finished */
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/vec/vec.h"

#include <string.h>

void gemm_bf16_copy(const struct kernels *k, uint16_t *to, size_t width, const struct gemm_in *x, size_t row,
                    size_t rows, size_t col, size_t cols)
{
    for (size_t r = row; r < row + rows; r++, to += width) {
        if (x->bf16)
            memcpy(to, x->bf16 + r * x->ld + col, cols * sizeof *to);
        else
            k->pack->from_f32(to, x->f32 + r * x->ld + col, cols);
        for (size_t c = cols; c < width; c++)
            to[c] = 0;
    }
}

static void finish_wide(const struct kernels *k, const struct gemm_out *y, size_t at, size_t col, float *sum, size_t n)
{
    float *to = y->f32 + at;
    if (y->bias)
        k->vec->add(sum, sum, y->bias + col, n);
    if (y->plus || y->add)
        k->vec->add(to, sum, y->plus ? y->plus + at : to, n);
    else
        memcpy(to, sum, n * sizeof *to);
}

void gemm_bf16_finish(const struct kernels *k, const struct gemm_out *y, size_t row, size_t col, size_t m, size_t n,
                      float *c, size_t ldc)
{
    if (y->done)
        y->done(y->ctx, row, col, m, n, c, ldc);
    for (size_t i = 0; i < m; i++) {
        float *from = c + i * ldc;
        size_t at = (row + i) * y->ld + col;
        if (y->bf16 && y->bias)
            k->pack->from_sum(y->bf16 + at, from, y->bias + col, n);
        else if (y->bf16)
            k->pack->from_f32(y->bf16 + at, from, n);
        if (y->f32)
            finish_wide(k, y, at, col, from, n);
    }
}
