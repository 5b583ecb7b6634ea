/* libcommon/stream/format/array.h - arrays as msgpack-numpy writes them
 *
 * A map with the bin keys nd, type, kind, shape, data: {nd: true, type: "<f4",
 * kind: b"", shape: [80, 300], data: bin}.  Kind "O" would make Python readers
 * unpickle (that is: run) what it holds: refused here, never written. */
#ifndef PENSTOCK_ARRAY_H
#define PENSTOCK_ARRAY_H

#include "libcommon/stream/format/mp.h"

enum array_type { ARRAY_F32, ARRAY_F64, ARRAY_I32, ARRAY_I64, ARRAY_U8, ARRAY_I16, ARRAY_U16, ARRAY_BOOL, ARRAY_BF16 };
enum { ARRAY_RANK = 8 };

struct array {
    enum array_type type;
    int rank;
    uint64_t shape[ARRAY_RANK];
    struct span data;           /* C order, little-endian; exactly product(shape) items; any alignment */
};

size_t array_item_size(enum array_type type);
const char *array_type_name(enum array_type type);      /* "<f4" ...; bfloat16 is "<u2" with "dtype" beside */
const char *array_dtype_name(enum array_type type);     /* "float32" ... */
uint64_t array_count(const struct array *a);

/* Does it look like an array, of whatever type: a map whose first key is nd? */
bool array_is(struct span value);
/* value: one whole object; numpy's scalars are arrays of rank 0.  -1 if it is not an array we read (why: a static text). */
int array_read(struct span value, struct array *a, const char **why);
/* Writes the map.  bfloat16 travels as "<u2" with a `dtype` key. */
void array_put(struct buf *b, const struct array *a);
/* All of the map but the data's bytes, which come last. */
void array_put_head(struct buf *b, const struct array *a);
/* The i-th item as a number. */
double array_at(const struct array *a, uint64_t i);

#endif
