/* kernels/nn/tape/layout.h - where in one map all memory of a run lies, known beforehand
 *
 * A dry run tells what is taken when, how large, and until when.  With all of it
 * known, the largest are given a place first, each the narrowest gap between those
 * that live at the same time.  The map is then hardly larger than what is used at
 * once, which no free list reaches where short lives alternate with long ones. */
#ifndef PENSTOCK_LAYOUT_H
#define PENSTOCK_LAYOUT_H

#include <stddef.h>

struct spot {
    size_t size;                /* bytes */
    size_t from, to;            /* lives in events [from, to) */
    size_t at;                  /* offset, once placed */
};

enum { LAYOUT_CUTS = 255 };

struct layout {
    struct spot *spot;          /* in the order in which they are taken */
    size_t n, room;
    size_t size;                /* of the map */
    struct spot *placed;        /* the same, as placed last */
    size_t n_placed, room_placed;
    size_t *by_place;           /* [room_placed] */
    /* events that few live across, rising: where a gap is looked for between two, only what lives there is passed */
    size_t cut[LAYOUT_CUTS];
    size_t n_cuts;
};

/* Appends one that lives from `from` to the end.  -1: out of memory. */
int layout_add(struct layout *l, size_t size, size_t from);
/* What lives at the event is mostly new: for speed alone.  Beyond LAYOUT_CUTS it is forgotten. */
void layout_cut(struct layout *l, size_t event);
/* Takes all away, for other ones; places of the last are kept. */
void layout_clear(struct layout *l);
/* Sets each `at`, and size; the same spots always get the same places.  -1: out of memory. */
int layout_place(struct layout *l);
void layout_free(struct layout *l);

#endif
