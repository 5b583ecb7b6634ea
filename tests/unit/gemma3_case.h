/* tests/unit/gemma3_case.h - golden rows of Gemma 3 as batches: tests/golden/gemma3-micro and gemma3-variant */
#ifndef PENSTOCK_GEMMA3_CASE_H
#define PENSTOCK_GEMMA3_CASE_H

#include "kernels/models/model.h"
#include "tests/unit/golden.h"

/* Rows of input_ids, labels, attention_mask [rows, S], or of batch `which` of [batches, rows, S],
 * without their padding.  use[row], or NULL: all. */
void gemma3_rows(struct batch *b, const struct safetensors *st, size_t which, const bool *use);
/* want [rows, S, C], or with heads [rows, heads, S, C / heads], as b's tokens have it: [tokens, C]; malloc'd. */
float *gemma3_packed(const float *want, const struct batch *b, size_t seq, size_t cols, size_t heads);
/* nll [rows, S] of the supervised tokens alone, in order; malloc'd, *n of them. */
float *gemma3_supervised(const float *nll, const struct batch *b, size_t seq, size_t *n);
/* The worst scaled error of gradients against PREFIX + name in st, times tokens; *compared tensors. */
double gemma3_gradients(const struct model *m, const struct safetensors *st, const char *prefix, double tokens,
                        size_t *compared);

#endif
