/* kernels/nn/loss/loss.h - a chunk of supervised positions with all their logits; private to kernels/nn
 *
 * Two ways.  Logits in float32, whose memory becomes their gradient: any loss.  In
 * bfloat16 training without cap or smoothing, exponentials: each block of logits
 * leaves the product as exp(z - m), m the block's largest, rounded to bfloat16; when
 * a position's sum is known they are scaled to probabilities.  Half the memory, one
 * exp an entry, and as exact as the gradient, which is rounded anyway. */
#ifndef PENSTOCK_LOSS_H
#define PENSTOCK_LOSS_H

#include "kernels/nn/ops/products.h"

struct chunk {
    const struct kernels *k;
    bool half;                  /* the second way */
    bool gradient;
    size_t n, vocab;
    const struct target *target;
    float cap, smoothing;
    double *nll, *sum;          /* [n] */

    float *z;                   /* [n, vocab] logits, then their gradient */
    bool narrow;                /* the gradient is bfloat16, each row at its logits' beginning */

    uint16_t *e;                /* [n, ld] exponentials, then the gradient */
    size_t ld;
    /* [n, pieces] of 64 entries: the largest logit of its block; the block's sum at its first, else 0 */
    float *max, *mass;
    size_t pieces;
    float *own;                 /* [n] the target's logit */
};

/* Bytes for a position: of what becomes the gradient, and of what is needed until then; then where in
 * such memories for `room` positions what lies. */
size_t chunk_bytes(const struct chunk *c);
size_t chunk_bytes_beside(const struct chunk *c);
void chunk_place(struct chunk *c, void *memory, void *beside, size_t room);
/* The gradient of the logits. */
struct gemm_in chunk_gradient(const struct chunk *c);

/* gemm_out's `done`: ctx is the chunk. */
void loss_half_block(void *ctx, size_t row, size_t col, size_t m, size_t n, float *c, size_t ldc);
void loss_half_task(void *ctx, size_t r, int worker);   /* a position */

#endif
