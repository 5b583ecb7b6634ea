/* libcommon/stream/unit.h - a unit's body in pieces, so that large values are not copied to be written */
#ifndef PENSTOCK_UNIT_H
#define PENSTOCK_UNIT_H

#include "libcommon/stream/stream.h"

/* The body is: text up to piece[0].text_end, piece[0].far, text up to piece[1].text_end, ... and the rest of text. */
struct gather {
    struct buf text;            /* what is small or new */
    struct gather_piece {
        size_t text_end;
        struct span far;        /* a large value where it lies: in the unit */
    } *piece;
    size_t n, room;
    size_t size;                /* of the whole body */
};
void gather_init(struct gather *g);
void gather_release(struct gather *g);
/* Fills g; valid until the unit changes.  -1 out of memory. */
int unit_gather(const struct unit *u, struct gather *g, struct error *e);
/* The i-th span of the body, i < 2 n + 1; may be empty. */
struct span gather_span(const struct gather *g, size_t i);
uint32_t gather_crc(const struct gather *g);
/* Turns the largest samples into error records until the body is UNIT_MAX at most, then gathers. */
int unit_fit(struct unit *u, struct gather *g, const char *stage, struct error *e);
/* Counts failed samples into u->failed. */
void unit_count(struct unit *u);

#endif
