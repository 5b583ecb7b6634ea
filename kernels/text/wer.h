/* kernels/text/wer.h - how far a text is from its reference: substitutions, deletions, insertions
 *
 * Counted along an alignment of least cost (V. Levenshtein, 1966), each error
 * costing 1.  Where several alignments cost the same, their sum is settled but its
 * parts are not: here a match or substitution goes before a deletion, that before
 * an insertion, looking back from the end.
 *
 * Rates of a corpus are sums of errors over sums of reference lengths, never means
 * of rates.  Nothing is normalised here (normalize.h does that).  What is a word
 * follows jiwer: runs of two or more white characters count as one space, ends are
 * stripped, and then spaces separate: a lone tab does not. */
#ifndef PENSTOCK_WER_H
#define PENSTOCK_WER_H

#include <stddef.h>
#include <stdint.h>

struct wer_count {              /* starts as { 0 }; counts add up */
    uint64_t substitutions, deletions, insertions;
    uint64_t hits;
};

/* Adds the errors of one text; UTF-8, neither needs a NUL behind it.  -1 out of memory.
 * Time grows with the product of the lengths: 100,000 words against as many others take a second or two (align.h). */
int wer_words(struct wer_count *c, const char *reference, size_t n, const char *text, size_t m);
/* The same over characters: Unicode scalar values, spaces included, ends stripped. */
int wer_characters(struct wer_count *c, const char *reference, size_t n, const char *text, size_t m);

uint64_t wer_errors(const struct wer_count *c);
uint64_t wer_length(const struct wer_count *c);         /* of the reference */
/* Errors over the reference's length; of an empty reference, the number of errors. */
double wer_rate(const struct wer_count *c);

#endif
