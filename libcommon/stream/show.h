/* libcommon/stream/show.h - msgpack values as JSON text for people: arrays in summary, bytes as counts */
#ifndef PENSTOCK_SHOW_H
#define PENSTOCK_SHOW_H

#include "libcommon/stream/format/sample.h"

struct show {
    bool hex;                   /* bin as hexadecimal text, not as {"bytes": n} */
    uint64_t values;            /* so many items of each array are listed */
};

/* One whole object.  An array becomes {"shape", "dtype", "min", "mean", "max"} over its finite
 * items, with counts of "nan" and "inf" if it has any; what is no JSON number becomes null. */
void show_value(struct buf *b, struct span value, const struct show *how);
void show_sample(struct buf *b, const struct sample *s, const struct show *how);

/* Of an array's finite items; min > max if there are none. */
struct array_summary {
    double min, max, sum;
    uint64_t finite, nan, inf;
};
struct array_summary array_summary(const struct array *a);

#endif
