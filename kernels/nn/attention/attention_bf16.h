/* kernels/nn/attention/attention_bf16.h - attention with products in bfloat16; private to kernels/nn
 *
 * Scores, sums and log-sum-exp are float32; queries, keys, values, probabilities
 * and their gradients are rounded as they enter a product.  Operands are laid
 * out as in kernels/linalg/pack/pack.h, in the team's shared memory. */
#ifndef PENSTOCK_ATTENTION_BF16_H
#define PENSTOCK_ATTENTION_BF16_H

#include "kernels/linalg/pack/pack.h"
#include "kernels/nn/attention/attention.h"

/* Can it be, and is it worth it? (no cap, no dropout, an even head size, more than a few queries a segment) */
enum { HEAD = 512 };             /* the largest head */
bool attend_bf16_fits(const struct tape *t, const struct attend *j);
/* Fills j->o_values, and j->lse unless NULL. */
void attend_bf16(struct tape *t, const struct attend *j);
/* Can gradients be written rounded?  Each row belongs to one segment, and those of its keys fit a worker's memory. */
bool attend_bf16_rounds(const struct attend *j, size_t t_q, size_t t_k);
/* Adds to j->dq, dk, dv, those that are not NULL; fills dq_half, dk_half, dv_half, those that are not NULL, which may lie
 * where q, k and v are. */
void attend_bf16_backward(struct tape *t, const struct attend *j);

/* Rows of a value into the orders of pack.h; `at`: elements from its beginning. */
void lay_columns(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t ld, size_t rows, size_t cols);
void lay_rows(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t ld, size_t rows, size_t cols);
void lay_copy(const struct pack *k, uint16_t *to, struct values v, size_t at, size_t cols);

/* What both share: segments first ... until - 1 are in shared memory. */
struct attend_run {
    const struct attend *j;
    struct team *team;
    const struct kernels *k;
    size_t first, until;
    size_t wide;                /* head size rounded to panels */
    uint16_t *shared;
};
/* As many segments from r->first on as fit, `each` elements of shared memory a key and feature; sets r->until. */
void attend_share(struct attend_run *r, size_t each);
/* Elements of shared memory before segment g and key-value head `kv`, for one kind of copy. */
size_t attend_at(const struct attend_run *r, size_t g, size_t kv);
static inline size_t attend_keys(const struct attended *g) { return (g->n_k + 63) / 64 * 64; }

#endif
