/* kernels/linalg/gemm/gemm.h - products of matrices, row-major, on the whole team
 *
 * Tiles are fixed by shape alone, each computed by one thread, so the bits do
 * not depend on the number of threads.  No function here allocates. */
#ifndef PENSTOCK_GEMM_H
#define PENSTOCK_GEMM_H

#include "kernels/linalg/compute.h"

/* float32: c[m,n] = op(a) op(b) + beta c;  op(a) is [m,k], op(b) is [k,n].
 * ta: a is stored [k,m]; tb: b is stored [n,k].  ld*: floats from row to row as
 * stored.  beta is 0 (c may be unset, NaN even) or 1.  c overlaps nothing. */
void gemm_f32(const struct compute *k, bool ta, bool tb, size_t m, size_t n, size_t kk,
              const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* --- products in bfloat16, summed in float32 ---------------------------------
 *
 * Of y = x w^T, w[n,k] is a weight: it is kept as bfloat16 in the order that y
 * wants, and made anew when the weight changes; dx = dy w turns it, block by
 * block, while it computes.  The other operand is rounded (to nearest, ties to
 * even) when it is given as float32. */

struct packed {                         /* a weight [n,k] */
    size_t n, k;
    uint16_t *panels;                   /* over n, of pairs along k: kernels/linalg/pack/pack.h */
    size_t bytes;
};

/* Memory for one, unset, in huge pages where the system gives them.  NULL: out of memory. */
struct packed *packed_new(size_t n, size_t k);
void packed_free(struct packed *p);
size_t packed_bytes(size_t n, size_t k);        /* what packed_new takes: 2 an element, and rounding */
/* Fills it from w[n,k], ldw floats from row to row. */
void packed_set(const struct compute *k, const struct packed *p, const float *w, size_t ldw);
/* Rows first ... first + rows - 1 alone, by the calling thread: for an optimizer that
 * packs what it has just changed.  first is a multiple of 64, and rows is one too
 * unless they are the last. */
void packed_set_rows(const struct compute *k, const struct packed *p, const float *w, size_t ldw,
                     size_t first, size_t rows);

struct gemm_in {                        /* one of the two pointers is set */
    const float *f32;
    const uint16_t *bf16;
    size_t ld;                          /* elements from row to row */
};

/* Where a product goes.  done, when set, is called by whatever thread computed
 * it for each finished block: c[m,n] at (row, col) of the whole, ldc floats from
 * row to row, free to be changed in place (activation, residual) before it
 * is stored; it may store elsewhere itself, with f32 and bf16 NULL.  Blocks are
 * fixed by shape, each is reported once. */
struct gemm_out {
    float *f32;                         /* any of the two, or both */
    uint16_t *bf16;
    size_t ld;
    bool add;                           /* f32 only: add to what is there */
    const float *plus;                  /* [m, ld], f32 only: added as well; or NULL */
    const float *bias;                  /* [n], added to each row when it is stored, behind `done`; or NULL */
    void (*done)(void *ctx, size_t row, size_t col, size_t m, size_t n, float *c, size_t ldc);
    void *ctx;
    const uint16_t *touched[3]; /* what done reads or writes of its own, [m, ld] as y: asked for early; or NULL */
};

/* y[m,n] = x[m,k] w^T; backward: dx[m,k] = dy[m,n] w.  m counts rows of x. */
void gemm_bf16(const struct compute *k, size_t m, struct gemm_in x, const struct packed *w, bool backward,
               const struct gemm_out *y);

/* Weights [n,k] that read the same x: its gradient is a sum, dx[m,k] = dy w + dy' w' + ... */
struct gemm_term {
    struct gemm_in x;                   /* dy[m,n] */
    const struct packed *w;
};
/* So many with weights of `rows` rows in all, each rounded up to 64: can they be summed at once, so that dx is written once,
 * and rounded if that is wanted?  One always can; else every dy is bfloat16 and has an even n. */
bool gemm_bf16_sums(size_t m, size_t count, size_t rows, size_t k);
void gemm_bf16_sum(const struct compute *k, size_t m, const struct gemm_term *of, size_t count, const struct gemm_out *dx);

/* The gradients of one of them: dw[n,k] (+)= dy[m,n]^T x[m,k], and db[n] (+)= sum of dy's rows. */
struct gemm_dw {
    struct gemm_in dy;
    size_t n;
    float *dw;
    size_t ld;                          /* floats from row to row */
    bool add;                           /* to what is there */
    double *squares;                    /* becomes the sum of dw's squares, which costs less here than reading dw again; */
    float *db;                          /* or NULL, both */
    bool add_db;
};
/* x is laid out once for all of them. */
void gemm_bf16_dw(const struct compute *k, size_t m, struct gemm_in x, size_t kk, const struct gemm_dw *of, size_t count);

#endif
