/* libcommon/stream/crew/wire.h - a stream read from a descriptor as it comes, bodies as blobs
 *
 * For those who pass units on without looking into them and must not block: a
 * worker on its child's output, fan on its input.  A body's checksum is checked
 * as it comes, the stream's at its end, or both are left to whoever decodes them. */
#ifndef PENSTOCK_WIRE_H
#define PENSTOCK_WIRE_H

#include "libcommon/stream/crew/shadow.h"
#include "libcommon/stream/format/control.h"
#include "libcommon/stream/format/header.h"

enum wire_event { WIRE_BAD = -1, WIRE_MORE, WIRE_HEADER, WIRE_UNIT, WIRE_END };

struct wire {
    int fd;
    bool trusts;                /* checksums are not looked at: set it, or leave it */
    /* for large bodies, fd being a pipe; the same.  If it trusts, values in a shadow are not in memory */
    struct shadows *shadows;
    struct buf in;
    size_t at;                  /* of `in`: used so far */
    uint64_t used;              /* bytes of the whole input */
    bool inside, in_body;
    uint32_t crc;               /* since the header */
    uint64_t units, samples;    /* since the header */
    struct control c;           /* of the unit or end met last */
    struct blob *body;          /* being read; after WIRE_UNIT the caller's */
    size_t have, summed;        /* bytes of it that are here; that are in `sum` */
    uint32_t sum;
    struct mp_walk walk;        /* through the header, or the body, as far as it is known what is where */
    uint64_t lately;            /* how large bodies have been of late, at least */
};

void wire_init(struct wire *w, int fd);
void wire_release(struct wire *w);      /* does not close fd */
/* What comes next of what has been read.  WIRE_HEADER: *header lies in w until the next call.
 * WIRE_UNIT: *body is the caller's, with the bytes that its sender summed.  WIRE_MORE: wire_fill is needed.
 * WIRE_BAD: e names byte and unit. */
enum wire_event wire_next(struct wire *w, struct span *header, struct blob **body, struct error *e);
/* One read(2).  1 something came; 2 nothing for now; 0 the end; -1 failed. */
int wire_fill(struct wire *w, struct error *e);

#endif
