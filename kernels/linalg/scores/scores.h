/* kernels/linalg/scores/scores.h - the scores of attention in bfloat16 and what softmax makes of them
 *
 * A tile of scores, 6 by 64, goes from the product to rounded probabilities without leaving the first
 * cache.  Operands are laid out as in pack.h; what a row does not see has probability 0. */
#ifndef PENSTOCK_SCORES_H
#define PENSTOCK_SCORES_H

#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/pack/pack.h"

#include <math.h>
#include <string.h>

struct seen { size_t from, to; };               /* columns that a row sees: [from, to) */

/* Six queries against keys 0 ... n - 1. */
struct scores {
    size_t pairs, n;            /* half of the head's size; keys */
    const uint16_t *q, *k;      /* [6, 2 pairs]; panels over the keys of pairs along features */
    const struct seen *seen;    /* [6]: keys */
    float scale;
    bool guess;                 /* shift is to be set: to the largest score among the first 64; 0 if none is seen */
    float *shift, *sum;         /* [6]: p = exp(scale s - shift); to which p's sums are added */
    uint16_t *p;                /* [6, ld]: to a multiple of 64 keys */
    size_t ld;
};

/* Six keys, and more after each other, against a block of queries: the scores are transposed. */
struct scores_back {
    size_t rows, pairs, n;      /* keys, a multiple of 6; half of the head's size; queries, a multiple of 64 */
    const uint16_t *k, *v;      /* [rows, 2 pairs] */
    const uint16_t *q, *d_o;    /* panels over the queries of pairs along features */
    const float *lse, *dot;     /* [n]: lse is infinite where there is no query, or it sees nothing */
    const struct seen *seen;    /* [rows]: queries */
    float scale;
    uint16_t *p, *ds;           /* [rows, ld]: exp(scale s - lse); p (dp - dot) scale */
    size_t ld;
    uint16_t *turned;           /* ds once more, for each 64 queries a panel of pairs along the keys */
    size_t panel;               /* elements from one to the next */
};

struct scores_kernel {
    void (*forward)(const struct kernels *k, const struct scores *x);
    void (*backward)(const struct kernels *k, const struct scores_back *x);
};
extern const struct scores_kernel scores_plain;         /* by the set's own tile and functions of rows */
extern const struct scores_kernel scores_avx512bf16;

/* -inf where columns col ... col + 63 of six rows are not seen. */
static inline void scores_hide(float *s, const struct seen *seen, size_t col)
{
    for (size_t i = 0; i < SIX; i++, s += PANEL) {
        for (size_t c = 0; c < PANEL && col + c < seen[i].from; c++)
            s[c] = -INFINITY;
        for (size_t c = seen[i].to > col ? seen[i].to - col : 0; c < PANEL; c++)
            s[c] = -INFINITY;
    }
}

/* Tile (row, col) of a backward that no row sees: written, as zeros, without products.  Else false. */
static inline bool scores_pass(const struct scores_back *x, size_t row, size_t col)
{
    const struct seen *seen = x->seen + row;
    for (size_t i = 0; i < SIX; i++)
        if (seen[i].from < seen[i].to && seen[i].from < col + PANEL && seen[i].to > col)
            return false;
    for (size_t i = 0; i < SIX; i++) {
        memset(x->p + (row + i) * x->ld + col, 0, PANEL * sizeof *x->p);
        memset(x->ds + (row + i) * x->ld + col, 0, PANEL * sizeof *x->ds);
    }
    memset(x->turned + col / PANEL * x->panel + row * PANEL, 0, SIX * PANEL * sizeof *x->turned);
    return true;
}

static inline float scores_shift(float largest, float scale) { return largest == -INFINITY ? 0 : scale * largest; }

#endif
