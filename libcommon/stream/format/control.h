/* libcommon/stream/format/control.h - the small maps before each body and at the end
 *
 * {"t": "DATA", "q", "e", "k", "n", "c"} and {"t": "END", "units", "samples",
 * "errors", "c"}; docs/stream.7 draws them. */
#ifndef PENSTOCK_CONTROL_H
#define PENSTOCK_CONTROL_H

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
/* The same for a unit's map as control_put writes it, at the beginning of bytes, without walking it first.  Its
 * size; 0: what lies there is not whole, not of that form, or out of range, and control_read will say. */
size_t control_quick(struct span bytes, struct control *c);
void control_put(struct buf *b, const struct control *c);

#endif
