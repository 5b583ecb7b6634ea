/* libcommon/format/json.h - reading JSON files: jansson, with our errors
 *
 * Values are jansson's json_t; these are the checks that every reader of a
 * configuration wants, with messages that name the file and the key. */
#ifndef PENSTOCK_JSON_H
#define PENSTOCK_JSON_H

#include <jansson.h>

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* `name` is for messages.  Depth is bounded; duplicate keys are refused. */
json_t *json_parse(struct span text, const char *name, struct error *e);
/* The same with jansson's own report, for callers that name the place themselves. */
json_t *json_load(struct span text, json_error_t *why);
/* The same for a row of a manifest: whole numbers that no int64 holds become text, digit for digit
 * (elsewhere they become reals). */
json_t *json_load_row(struct span text, json_error_t *why);
json_t *json_read_file(const char *path, struct error *e);
/* DIR/NAME; NULL with e->status 0 if there is no such file, so that callers can fall back. */
json_t *json_read_in(const char *dir, const char *name, struct error *e);

#endif
