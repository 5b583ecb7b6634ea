/* libcommon/format/json_peek.h - one value out of a JSON line, without parsing the rest
 *
 * The index of a manifest needs the id of every row and nothing else; building
 * all values would take most of its time.  What is not plain is left to jansson. */
#ifndef PENSTOCK_JSON_PEEK_H
#define PENSTOCK_JSON_PEEK_H

#include "libcommon/sys/buf.h"

/* 1: *value is the text of a string without escapes, or the digits of a whole number;
 * 0: an object without this key, as far as one can see; -1: unclear, parse it. */
int json_peek(struct span line, const char *key, struct span *value);

#endif
