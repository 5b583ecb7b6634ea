/* libcommon/stream/format/json_mp.h - a JSON value as msgpack, types kept */
#ifndef PENSTOCK_JSON_MP_H
#define PENSTOCK_JSON_MP_H

#include <jansson.h>

#include "libcommon/sys/buf.h"

/* Deeper values would not be read back as part of a sample (MP_DEPTH of mp.h). */
enum { JSON_MP_DEPTH = 12 };

/* Appends v.  -1: nested deeper than that, or a map of more keys than readers take. */
int json_to_mp(const json_t *v, struct buf *b);

#endif
