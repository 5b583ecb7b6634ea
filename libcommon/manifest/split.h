/* libcommon/manifest/split.h - a row that is longer than a model hears, cut between its timed segments into several
 *
 * A worker gives one unit for each, of as many samples, so rows are cut where the
 * plan is made: each piece is a row of its own, with an id, an offset and a duration. */
#ifndef PENSTOCK_MANIFEST_SPLIT_H
#define PENSTOCK_MANIFEST_SPLIT_H

#include <jansson.h>

#include "libcommon/sys/error.h"

struct split {
    double most;                /* seconds of a piece; a segment that is longer stays one */
    const char *id, *duration;  /* columns */
    const char *const *texts;   /* the first that a row has is its text; NULL-terminated, the first is added where none is */
};

/* How many pieces a row makes: 0, it stays as it is, for it has no `segments` or is not longer.  -1: it is, but
 * its segments are none, or go back. */
int64_t split_count(const struct split *s, const json_t *row, struct error *e);
/* The row becomes its piece k, which split_count counted.  name: what the whole row is called.  Piece k is ID#k+1
 * and has segments from its first one's start to its last one's end, times from there; the text is theirs, and
 * previous_text that of the piece before.  Other columns stay. */
int split_piece(const struct split *s, json_t *row, size_t k, const char *name, struct error *e);

#endif
