/* kernels/linalg/gemm/gemm_bf16.h - what the drivers of bfloat16 products share, those of attention too */
#ifndef PENSTOCK_GEMM_BF16_H
#define PENSTOCK_GEMM_BF16_H

#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/pack/pack.h"

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t parts(size_t n, size_t size)       /* of this size that cover n */
{
    return (n + size - 1) / size;
}

static inline size_t round_to(size_t n, size_t unit)
{
    return parts(n, unit) * unit;
}

/* The spread operand of a block: tile t (6 rows) begins at a + t * tile. */
struct spread {
    const uint16_t *a;
    size_t row, pair, tile;             /* elements */
};

/* Memory that is read or written next: a few lines are asked for between the tiles. */
struct fetch {
    const char *at;             /* the row in hand */
    size_t stride, width, col;  /* bytes */
    size_t lines, each;         /* left; at once */
};

enum { LINE = 64 };

/* rows and columns of x, over so many tiles. */
static inline struct fetch fetch_rows(const struct gemm_in *x, size_t row, size_t rows, size_t col, size_t cols,
                                      size_t tiles)
{
    size_t size = x->bf16 ? sizeof *x->bf16 : sizeof *x->f32, ld = x->ld * size;
    const char *base = x->bf16 ? (const char *)x->bf16 : (const char *)x->f32;
    struct fetch f = {.at = base + row * ld + col * size, .stride = ld, .width = round_to(cols * size, LINE)};
    f.lines = rows * f.width / LINE;
    f.each = parts(f.lines, tiles);
    return f;
}

static inline void fetch_some(struct fetch *f)
{
    for (size_t some = least(f->lines, f->each); some; some--, f->lines--) {
        __builtin_prefetch(f->at + f->col, 0, 2);
        if ((f->col += LINE) == f->width) {
            f->col = 0;
            f->at += f->stride;
        }
    }
}

/* c[m,n] (+)= a b over so many pairs, one thread: panel after panel of b (so that one stays
 * in the first cache), all tiles of a under each.  panel: elements from one to the next.
 * ahead: two memories that are asked for meanwhile, some after each tile; or NULL. */
void gemm_bf16_block(const struct kernels *k, size_t m, size_t n, size_t pairs, const struct spread *a,
                     const uint16_t *b, size_t panel, float *c, size_t ldc, bool add, struct fetch ahead[2]);

/* rows of x as bfloat16, each followed by zeros up to width (>= cols). */
void gemm_bf16_copy(const struct kernels *k, uint16_t *to, size_t width, const struct gemm_in *x, size_t row,
                    size_t rows, size_t col, size_t cols);

/* gemm_bf16's dx of few rows or of a weight beyond the caches. */
void gemm_bf16_dx(const struct compute *k, size_t m, const struct gemm_in *dy, const struct packed *w,
                  const struct gemm_out *y);

/* Are the sums all there is to y, so that they can be made where it lies? */
static inline bool gemm_bf16_direct(const struct gemm_out *y)
{
    return y->f32 && !y->bf16 && !y->done && !y->bias && !y->plus;
}

/* A finished block of y, at (row, col) of the whole: `done`, then to where it goes. */
void gemm_bf16_finish(const struct kernels *k, const struct gemm_out *y, size_t row, size_t col, size_t m, size_t n,
                      float *c, size_t ldc);

#endif
