/* kernels/text/normalize/words.h - the words that numbers are spelt with */
#ifndef PENSTOCK_NORMALIZE_WORDS_H
#define PENSTOCK_NORMALIZE_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum word_kind {
    WORD_OTHER,                 /* none of them */
    WORD_ZERO,                  /* o oh zero */
    WORD_ONE,                   /* one to nineteen: value */
    WORD_ONE_SUFFIXED,          /* ones, first: value and suffix */
    WORD_TEN,                   /* twenty to ninety */
    WORD_TEN_SUFFIXED,          /* twenties, twentieth */
    WORD_MULTIPLIER,            /* hundred to decillion: value is the power of ten */
    WORD_MULTIPLIER_SUFFIXED,   /* hundreds, hundredth */
    WORD_SIGN,                  /* minus, plus: suffix is the sign */
    WORD_CURRENCY,              /* pound, dollars: suffix is the sign, in UTF-8 */
    WORD_PERCENT,               /* percent */
    WORD_PER,                   /* per, before cent */
    WORD_AND, WORD_DOUBLE, WORD_TRIPLE, WORD_POINT,
};

struct word {
    enum word_kind kind;
    int value;
    const char *suffix;
};

/* The word spelt by n code points. */
struct word word_find(const uint32_t *v, size_t n);

#endif
