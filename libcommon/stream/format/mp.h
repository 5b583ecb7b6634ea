/* libcommon/stream/format/mp.h - msgpack: writing to a buffer, reading with a bounded cursor
 *
 * Bytes from outside never meet a generic unpacker: 155 bytes of nested array
 * headers can reserve 254 GB there (docs/stream.7).  The cursor walks a complete
 * object in place, allocates nothing, and is bounded by the bytes it was given,
 * a depth and a number of keys. */
#ifndef PENSTOCK_MP_H
#define PENSTOCK_MP_H

#include <string.h>

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

enum { MP_DEPTH = 16, MP_KEYS = 4096 };

enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_UINT, MP_REAL, MP_STR, MP_BIN, MP_ARRAY, MP_MAP, MP_EXT };

struct mp_value {
    enum mp_type type;
    int8_t ext;                 /* MP_EXT: its type */
    union {
        bool b;
        int64_t i;              /* MP_INT: negative numbers only */
        uint64_t u;             /* MP_UINT: all others */
        double r;
        struct span bytes;      /* MP_STR, MP_BIN, MP_EXT: inside the input */
        uint32_t n;             /* MP_ARRAY: items; MP_MAP: pairs, to be read next */
    };
};

struct mp_cursor {
    const uint8_t *p, *end;
};

static inline struct mp_cursor mp_cursor(struct span bytes)
{
    return (struct mp_cursor){ bytes.data, bytes.data + bytes.size };
}

/* Reads one header (and, for scalars and strings, the value).  0, or -1 if the
 * bytes end early, hold 0xc1, or announce more items than bytes are left. */
int mp_read(struct mp_cursor *c, struct mp_value *v);
/* Passes over one whole object; *whole, if not NULL, becomes its bytes.  -1 as
 * mp_read, or deeper than MP_DEPTH, or a map of more than MP_KEYS pairs. */
int mp_skip(struct mp_cursor *c, struct span *whole);
/* mp_read of a whole object: for scalars, strings and bins that stand alone. */
int mp_read_span(struct span object, struct mp_value *v);
/* Integers of either sign that fit. */
bool mp_to_i64(const struct mp_value *v, int64_t *to);
bool mp_to_u64(const struct mp_value *v, uint64_t *to);
bool mp_to_real(const struct mp_value *v, double *to);      /* any number */
static inline bool mp_str_is(const struct mp_value *v, const char *text)
{
    size_t n = strlen(text);
    return v->type == MP_STR && v->bytes.size == n && !memcmp(v->bytes.data, text, n);
}

/* The same walk for objects that are still arriving: start with a zeroed struct
 * mp_walk and give it all the object's bytes so far; it goes on where it was.
 * 1: complete, w->at bytes long; 0: more bytes are needed (*need: at least so
 * many in all); -1 as mp_skip.  Cost: proportional to headers, not to bytes. */
struct mp_walk {
    uint64_t at;
    uint32_t depth;
    bool begun;
    uint32_t left[MP_DEPTH + 1];
};
int mp_walk(struct mp_walk *w, struct span bytes, uint64_t *need);
/* The same for a map of at most `limit` bytes.  -1 also where no map begins, which is told before a length that stands
 * there is believed; what: "a header", for the error. */
int mp_walk_map(struct mp_walk *w, struct span bytes, size_t limit, const char *what, uint64_t *need, struct error *e);

/* Writing: into a buf, whose `failed` says at the end whether all went well. */
void mp_put_nil(struct buf *b);
void mp_put_bool(struct buf *b, bool v);
void mp_put_int(struct buf *b, int64_t v);      /* shortest form, as msgpack-python writes it */
void mp_put_uint(struct buf *b, uint64_t v);
void mp_put_real(struct buf *b, double v);
void mp_put_str(struct buf *b, const char *text);
void mp_put_strn(struct buf *b, const char *text, size_t n);     /* as it is; others may insist on UTF-8 */
void mp_put_bin(struct buf *b, const void *data, size_t n);
void mp_put_bin_head(struct buf *b, size_t n);  /* then n bytes */
void mp_put_array(struct buf *b, uint32_t n);   /* then n objects */
void mp_put_map(struct buf *b, uint32_t n);     /* then n pairs */

#endif
