/* kernels/text/align.h - the alignment of least cost of two lists of symbols
 *
 * G. Myers, A fast bit-vector algorithm for approximate string matching (1999), in
 * blocks of 64 rows as H. Hyyro (2003) has them: 64 cells of the table at once.  The
 * path back is found from columns that are kept and the stretches between them, made
 * again: time is n * m / 64, memory n * sqrt(m) / 4 bytes. */
#ifndef PENSTOCK_ALIGN_H
#define PENSTOCK_ALIGN_H

#include "kernels/text/wer.h"

/* Adds what turns a (n symbols, the reference) into b (m symbols).  Of paths that cost the
 * same it is the one that, from the end, takes a hit or substitution before a deletion, and
 * that before an insertion.  n and m are below 2^32.  -1 out of memory. */
int align(struct wer_count *c, const uint32_t *a, size_t n, const uint32_t *b, size_t m);

#endif
