/* libcommon/stream/format/sample.h - one sample: a map whose fields are kept as bytes
 *
 * A stage reads the fields it knows, puts and drops some, and passes the rest on
 * as the bytes they came in.  Field values are spans of whole msgpack objects,
 * which belong to the unit (as read) or to its arena (as put); both live until
 * the unit is read anew. */
#ifndef PENSTOCK_SAMPLE_H
#define PENSTOCK_SAMPLE_H

#include "libcommon/stream/format/array.h"
#include "libcommon/sys/error.h"

enum { SAMPLE_FIELDS = 64 };

struct field {
    struct span key;            /* the text of a str key */
    struct span value;          /* one whole object */
};

struct sample {
    struct field *field;        /* n of them, in the arena */
    size_t n, room;
    struct arena *arena;        /* where fields and put values live: the unit's */
};

/* map: one whole object, whose bytes are borrowed.  -1 with why: not a map, a key that is no str, a key twice, too many. */
int sample_read(struct span map, struct arena *arena, struct sample *s, const char **why);
void sample_write(struct buf *b, const struct sample *s);

bool sample_has(const struct sample *s, const char *key);
const struct span *sample_get(const struct sample *s, const char *key);    /* NULL if absent */
/* The id, for messages and hashes; an empty span if there is none. */
struct span sample_id(const struct sample *s);
bool sample_failed(const struct sample *s);             /* has an "error" */

/* Readers of one field.  1 read; 0 absent or nil; -1 there, but of another type (e says field and id). */
int sample_str(const struct sample *s, const char *key, struct span *text, struct error *e);
int sample_bin(const struct sample *s, const char *key, struct span *bytes, struct error *e);
int sample_real(const struct sample *s, const char *key, double *v, struct error *e);
int sample_int(const struct sample *s, const char *key, int64_t *v, struct error *e);
int sample_array(const struct sample *s, const char *key, struct array *a, struct error *e);

/* Writers: a field of that name is replaced in its place, else added last.
 * -1 out of memory or too many fields (e filled). */
int sample_put_raw(struct sample *s, const char *key, struct span object, struct error *e);     /* copied */
/* Text that is not UTF-8 is mended with U+FFFD: other readers insist on it. */
int sample_put_str(struct sample *s, const char *key, const char *text, size_t n, struct error *e);
int sample_put_bin(struct sample *s, const char *key, const void *data, size_t n, struct error *e);
int sample_put_int(struct sample *s, const char *key, int64_t v, struct error *e);
int sample_put_real(struct sample *s, const char *key, double v, struct error *e);
int sample_put_array(struct sample *s, const char *key, const struct array *a, struct error *e);
void sample_drop(struct sample *s, const char *key);
/* All but the id goes; error becomes {stage, message}. */
void sample_fail(struct sample *s, const char *stage, const char *message);
/* The same for a sample that was left out because an option asked for it (--over-long drop): error also
 * has dropped: true, so that who judges failures (--max-errors) can tell wishes from failures. */
void sample_pass_over(struct sample *s, const char *stage, const char *message);
/* What that says.  false: the sample has not failed. */
struct sample_error {
    struct span stage, message; /* data NULL: it has none */
    bool dropped;
};
bool sample_error(const struct sample *s, struct sample_error *what);

#endif
