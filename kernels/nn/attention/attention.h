/* kernels/nn/attention/attention.h - a block of queries against a block of keys: what forward and backward share;
 * private to kernels/nn */
#ifndef PENSTOCK_ATTENTION_H
#define PENSTOCK_ATTENTION_H

#include "kernels/nn/tape/record.h"

enum { QUERIES = 128, KEYS = 512 };     /* a block: 256 KiB of scores, which stay in the second cache */

struct attend {
    struct attention a;
    size_t d, ld_q, ld_k;               /* head size; floats from row to row */
    const float *q, *k, *v, *o, *d_o;   /* float32, unless bf16: then the following */
    struct values q_values, k_values, v_values, o_values, d_o_values;
    float *lse;                         /* [heads, Tq] */
    size_t t_q;
    float *out, *dq, *dk, *dv;
    uint16_t *dq_half, *dk_half, *dv_half;              /* or these, rounded */
    float *scratch;                     /* scratch_each floats a worker */
    size_t scratch_each;
    const struct kernels *kernels;
    size_t *first_task;                 /* forward: [segments + 1] */
    uint64_t key;                       /* of dropout */
    bool bf16;                          /* the products in bfloat16: attention_bf16.h */
};

/* Sets j->q, k, v for float32, whatever they are stored in; and gives the memory back. */
void attend_widen(struct tape *t, struct attend *j, const struct tensor *q, const struct tensor *k, const struct tensor *v);
void attend_widen_end(struct tape *t, struct attend *j, const struct tensor *q, const struct tensor *k,
                      const struct tensor *v);
/* Keys that query i of s sees: [from, to). */
void attend_range(const struct attention *a, const struct attended *s, size_t i, size_t *from, size_t *to);
/* s[m, n] = what softmax takes: scaled, capped scores of queries q0.. of segment g and keys k0..; -inf where not seen. */
void attend_scores(const struct attend *j, const struct attended *g, size_t head, size_t q0, size_t m, size_t k0,
                   size_t n, float *s);
/* p[m, n] of the same: 0 where dropped, else p / (1 - dropout). */
void attend_drop(const struct attend *j, const struct attended *g, size_t head, size_t q0, size_t m, size_t k0,
                 size_t n, float *p);

#endif
