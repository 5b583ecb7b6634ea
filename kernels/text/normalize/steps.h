/* kernels/text/normalize/steps.h - what the normalisers share, and the parts of the English one
 *
 * Each reads `from` and appends to an empty `to`; a failure for lack of memory is
 * kept in to->failed.  Comments quote the regular expression that a step stands for,
 * in Python's notation: each match is replaced and passed, then the search goes on. */
#ifndef PENSTOCK_NORMALIZE_STEPS_H
#define PENSTOCK_NORMALIZE_STEPS_H

#include "kernels/text/normalize/normalize.h"
#include "kernels/text/normalize/points.h"

/* [<\[][^>\]]*[>\]] and \(([^)]+?)\) go: what stands in brackets. */
void step_angles(const struct points *from, struct points *to);
void step_parentheses(const struct points *from, struct points *to);
/* Symbols and marks become spaces; with `drop`, in what NFKD left, marks vanish, letters
 * that no normal form takes apart are replaced, and the characters of `keep` stay. */
void step_symbols(const struct points *from, struct points *to, bool drop, const char *keep);

/* English: fillers, contractions, titles; commas and full stops among digits. */
void step_contractions(struct points *text, struct points *spare);
/* English: number words to digits (numbers.c). */
void step_numbers(struct points *text, struct points *spare);

/* Around the number words (edges.c).  Before: "two and a half" to "two point five", "a1" to
 * "a 1", "1 st" to "1st".  After: "$2 and c7" to "$2.07" (c: the cent sign), "$0.07" to "c7", "1" to "one". */
void step_halves(const struct points *from, struct points *to);
void step_boundaries(const struct points *from, struct points *to);
void step_suffixes(const struct points *from, struct points *to);
void step_cents_combine(const struct points *from, struct points *to);
void step_cents_extract(const struct points *from, struct points *to);
void step_ones(const struct points *from, struct points *to);

/* A word's first and last places: no letter, digit or _ beside (\b). */
static inline bool word_begins(const struct points *p, size_t at) { return at == 0 || !point_is_word(p->v[at - 1]); }
static inline bool word_ends(const struct points *p, size_t at) { return at >= p->n || !point_is_word(p->v[at]); }

#endif
