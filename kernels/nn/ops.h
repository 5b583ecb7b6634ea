/* kernels/nn/ops.h - the operations that models are written with
 *
 * T: positions (rows of a tensor), C: features (cols).  None returns NULL: after a
 * failure (t->failed) they return an empty tensor and do nothing.  Arguments given
 * as arrays (ids, positions, segments) must stay valid until the backward is done.
 * Formulas and the gradients by hand are beside the code, in ops/, attention/ and
 * loss/, which are built on tape/ (values and their memory) and param/ (weights). */
#ifndef PENSTOCK_OPS_H
#define PENSTOCK_OPS_H

#include "kernels/nn/tape/tape.h"

/* Memory of the caller's as a value; no gradient. */
struct tensor *tape_input(struct tape *t, float *data, size_t rows, size_t cols);
/* Unset memory of the arena as a value, no gradient; to be filled unless t->dry or t->failed. */
struct tensor *tape_temp(struct tape *t, size_t rows, size_t cols);

/* y[T, out] = x[T, in] W^T + b, W [out, in], b [out] or NULL; with W's adapter if it carries one. */
struct tensor *tape_linear(struct tape *t, struct tensor *x, struct param *w, struct param *b);

/* r + x W^T + b, where products are in bfloat16 in one pass that does not round the product. */
struct tensor *tape_linear_add(struct tape *t, struct tensor *r, struct tensor *x, struct param *w, struct param *b);

/* gelu(x W^T + b), in one pass where products are in bfloat16. */
struct tensor *tape_linear_gelu(struct tape *t, struct tensor *x, struct param *w, struct param *b);

/* y = (x - mean) / sqrt(var + eps) * w + b over each row. */
struct tensor *tape_layer_norm(struct tape *t, struct tensor *x, struct param *w, struct param *b, float eps);
/* y = x / sqrt(mean(x^2) + eps) * (offset + w) over each group of `group` features (0: the whole row); w [group],
 * or NULL: 1. */
struct tensor *tape_rms_norm(struct tape *t, struct tensor *x, struct param *w, size_t group, float eps, float offset);

struct tensor *tape_gelu(struct tape *t, struct tensor *x);                               /* x Phi(x), erf */
struct tensor *tape_gelu_gated(struct tape *t, struct tensor *gate, struct tensor *up);   /* gelu_tanh(gate) * up */
/* x + y.  y is given away: its memory may become the sum's, so it must not be used again. */
struct tensor *tape_add(struct tape *t, struct tensor *x, struct tensor *y);
/* x[i] + w[i mod rows of w]: positions of a batch of equally long rows.  x is given away. */
struct tensor *tape_add_table(struct tape *t, struct tensor *x, struct param *w);
/* In training each element becomes 0 with probability p, else x / (1 - p); otherwise x itself. */
struct tensor *tape_dropout(struct tape *t, struct tensor *x, float p);

/* Width 3, zero padding 1, stride 1 or 2: x [batch * T, in], W [out, in, 3] -> [batch * ceil(T / stride), out]. */
struct tensor *tape_conv1d(struct tape *t, struct tensor *x, size_t batch, struct param *w, struct param *b, size_t stride);

/* y[i] = scale * W[ids[i]].  The lookup of `pad` (-1: none) adds nothing to W's gradient, as padding_idx. */
struct tensor *tape_embedding(struct tape *t, struct param *w, const int32_t *ids, size_t n, int32_t pad, float scale);
/* y[i] = x[index[i]] */
struct tensor *tape_rows(struct tape *t, struct tensor *x, const size_t *index, size_t n);

/* cos and sin of the angles at each position, [n, D] (cos of D/2 pairs, then sin): made once, used by all layers.
 * Pair i turns by position * theta^(-2 i / D) / factor. */
struct tensor *tape_rope_table(struct tape *t, const int32_t *position, size_t n, size_t d, float theta, float factor);
/* Rotates each head of x [T, heads * D]: dimension i pairs with i + D/2.  x is given away. */
struct tensor *tape_rope(struct tape *t, struct tensor *x, const struct tensor *table);

/* Attention, one operation for all uses: batches, packed ragged rows, cross-attention and
 * caches are segments.  In a segment the last query stands at the last key. */
struct attended {
    size_t q, n_q;              /* rows of q (and of the result) */
    size_t k, n_k;              /* rows of k and v */
};
struct attention {
    size_t heads, kv_heads;     /* query head h reads key-value head h / (heads / kv_heads) */
    float scale;
    float cap;                  /* scores become cap tanh(score / cap); 0: none */
    float dropout;              /* of probabilities, in training */
    bool causal;                /* query at p sees keys <= p */
    size_t window;              /* and > p - window; 0: all */
    const struct attended *segment;
    size_t n;
};
/* q [Tq, heads * D], k and v [Tk, kv_heads * D] -> [Tq, heads * D].  No matrix of
 * scores is kept: blocks of queries by blocks of keys, log-sum-exp saved, scores
 * computed again in backward (Dao and others, FlashAttention, 2022). */
struct tensor *tape_attention(struct tape *t, struct tensor *q, struct tensor *k, struct tensor *v,
                              const struct attention *a);

/* --- the output ------------------------------------------------------------------ */
struct target { size_t row; int32_t id; };      /* position row of x shall predict id */

struct loss {
    double nll;                 /* -log p(id), summed, in nats */
    double sum;                 /* what is minimised: with label smoothing */
    size_t tokens;              /* supervised */
};
/* Projection on W [V, C] fused with cross entropy, over the supervised positions only, in chunks of
 * tokens that fit t->loss_bytes.  In training the gradients of x and W are computed right
 * there (W's is added to W->grad at once), of the sum, not of a mean.  smoothing e:
 * (1 - e) nll + e * mean over V of -log p.  cap as in attention, on the logits.
 * nll: NULL, or room for n.  loss may be NULL. */
void tape_lm_loss(struct tape *t, struct tensor *x, struct param *w, float cap, float smoothing,
                  const struct target *target, size_t n, struct loss *loss, float *nll);
/* [T, V], for inference. */
struct tensor *tape_logits(struct tape *t, struct tensor *x, struct param *w, float cap);

/* --- segments ---------------------------------------------------------------------
 * Runs fn(t, ctx, in, out), a part of the forward (a layer).  in and out name all it takes and gives
 * (values; parameters and ctx apart).  At its end everything made inside that neither is an
 * output nor kept for backward is freed.  With t->recompute only in and out
 * live on, and backward runs fn again first; ctx must live as long. */
enum { SEGMENT_VALUES = 8 };
typedef void segment_fn(struct tape *t, const void *ctx, struct tensor **in, struct tensor **out);
void tape_segment(struct tape *t, segment_fn *fn, const void *ctx, size_t ctx_size,
                  struct tensor **in, size_t n_in, struct tensor **out, size_t n_out);

/* x will not be used again: its memory goes now, unless a backward reads it. */
void tape_drop(struct tape *t, struct tensor *x);

/* Names a value for t->tap. */
void tape_tap(struct tape *t, const char *name, const struct tensor *x);

#endif
