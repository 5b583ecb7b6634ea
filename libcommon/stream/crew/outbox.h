/* libcommon/stream/crew/outbox.h - what is to be written to a pipe that does not wait: bodies where they lie, small things together */
#ifndef PENSTOCK_OUTBOX_H
#define PENSTOCK_OUTBOX_H

#include "libcommon/stream/crew/shadow.h"

/* A unit takes two segments at most, its map and its body; what else there is, a header and an end. */
enum { OUTBOX_UNITS = 256, OUTBOX_SEGMENTS = 2 * OUTBOX_UNITS + 4 };

struct outbox {
    /* in their order; at: written so far; room: of one that small things are copied to, else 0 */
    struct { struct blob *blob; size_t at, room; } seg[OUTBOX_SEGMENTS];
    int n;
    uint64_t put, gone;         /* bytes, since it was zeroed: put in, written */
};

/* Copies the bytes.  -1: out of memory. */
int outbox_put(struct outbox *o, const void *data, size_t n);
/* Takes b; a large one is not copied. */
int outbox_put_blob(struct outbox *o, struct blob *b);
/* Writes what fd takes now.  That it takes no more is no error, nor that nobody reads it: whoever should will tell. */
void outbox_write(struct outbox *o, int fd);
void outbox_clear(struct outbox *o);

#endif
