/* kernels/text/normalize/normalize.h - texts made comparable before errors are counted
 *
 * The normalisers of Whisper's evaluation (A. Radford et al., Robust Speech
 * Recognition via Large-Scale Weak Supervision, 2022, appendix C): `basic` for any
 * language, `english` with its contractions, numbers and spellings.  A word error
 * rate means something only beside the name of the normaliser it was counted with.
 *
 * Both begin with lower case and lose what stands in brackets; then
 *   basic    symbols and punctuation become spaces (NFKC);
 *   english  contractions and titles are written out, marks are dropped (NFKD),
 *            number words become digits, British spellings American ones.
 * Spaces are run together, but those at the ends are left, as there. */
#ifndef PENSTOCK_NORMALIZE_H
#define PENSTOCK_NORMALIZE_H

#include <stdbool.h>

#include "kernels/text/grow.h"

/* British spellings and their American ones, as a checkpoint's normalizer.json lists them. */
struct spelling {               /* starts as { 0 } */
    struct spelling_pair {
        char *from, *to;        /* NUL-terminated, owned */
    } *pair;
    size_t n, room;
    bool sorted;
};
int spelling_add(struct spelling *s, const char *from, const char *to);    /* -1 out of memory */
/* The American spelling of a word, or NULL if it has no other.  Of a word added twice, either. */
const char *spelling_find(struct spelling *s, const char *word, size_t n);
void spelling_release(struct spelling *s);

enum normalizer_kind { NORMALIZER_NONE, NORMALIZER_BASIC, NORMALIZER_ENGLISH };

struct normalizer {
    enum normalizer_kind kind;
    bool remove_diacritics;     /* basic: marks are dropped (NFKD), and letters like ø become plain */
    bool split_letters;         /* basic: a space between graphemes, for languages without spaces */
    struct spelling *spelling;  /* english: NULL, or a table */
};

/* "none", "basic", "english"; false: none of them. */
bool normalizer_parse(const char *name, enum normalizer_kind *kind);
const char *normalizer_name(enum normalizer_kind kind);

/* Appends the text as normalised to `out`.  Bytes that are not UTF-8 count as U+FFFD.  -1 out of memory. */
int normalize(const struct normalizer *n, const char *text, size_t size, struct text *out);

#endif
