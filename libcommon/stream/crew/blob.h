/* libcommon/stream/crew/blob.h - bytes that several hold: the body of a unit on its way, or a header
 *
 * Counted, so that a body can be sent again while libzmq still sends it; the
 * count is atomic, since libzmq lets go in a thread of its own. */
#ifndef PENSTOCK_BLOB_H
#define PENSTOCK_BLOB_H

#include <stdatomic.h>

#include "libcommon/sys/buf.h"

struct blob {
    atomic_int refs;
    size_t size;
    uint8_t *data;
    void (*release)(struct blob *b);    /* frees data and b */
    struct shadow *shadow;      /* shadow.h; mostly NULL */
};

struct blob *blob_new(size_t size);     /* unset bytes; NULL: out of memory */
struct blob *blob_copy(struct span bytes);
struct blob *blob_share(struct blob *b);        /* b, counted once more */
void blob_drop(struct blob *b);         /* NULL is fine */
/* Once for the process, before there are many: their memory is kept rather than given back to the kernel each time. */
void blob_memory_keep(void);
static inline struct span blob_span(const struct blob *b) { return span_of(b->data, b->size); }

#endif
