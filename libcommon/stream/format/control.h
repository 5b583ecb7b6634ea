/* libcommon/stream/format/control.h - the small maps before each body and at the end
 *
 * {"t": "DATA", "q", "e", "k", "n", "c"} and {"t": "END", "units", "samples",
 * "errors", "c"}; docs/stream.7 draws them. */
#ifndef PENSTOCK_CONTROL_H
#define PENSTOCK_CONTROL_H

#include <sys/types.h>

#include "libcommon/stream/format/unit.h"

enum control_type { CONTROL_DATA, CONTROL_END };

struct control {
    enum control_type type;
    uint64_t q, e, k, n;        /* CONTROL_DATA */
    struct stream_end end;      /* CONTROL_END */
    uint32_t c;
};

/* map: a whole object, CONTROL_MAX bytes at most.  Every key that its type has must
 * be there once, in its range; keys of later versions are passed over. */
int control_read(struct span map, struct control *c, struct error *e);
/* The same for the map at the beginning of bytes that may still be arriving: its size; 0: more are needed (*need in
 * all, at least); -1: no sound control map begins there (e). */
ssize_t control_at(struct span bytes, struct control *c, uint64_t *need, struct error *e);
void control_put(struct buf *b, const struct control *c);

/* What an end says of a stream, for those who write units that are made already. */
struct stream_sum {
    uint32_t crc;
    struct stream_end end;
};
void stream_sum_header(struct stream_sum *s, struct span map);         /* a stream begins */
/* Puts a unit's map into b.  body: of c->n bytes, and of checksum c->c, to be written behind it by the caller; so many
 * of its samples have an error. */
void stream_sum_unit(struct stream_sum *s, struct buf *b, const struct control *c, const void *body, uint64_t errors);
void stream_sum_end(const struct stream_sum *s, struct buf *b);        /* puts the end */

#endif
