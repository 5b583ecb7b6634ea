/* tests/unit/rows.h - golden tables: files of one JSON object a line, packed or not */
#ifndef PENSTOCK_ROWS_H
#define PENSTOCK_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A whole file, unpacked by xz if its name ends in .xz, with a NUL behind it; malloc'd.  NULL: cannot be opened. */
char *rows_slurp(const char *path, size_t *n);
/* Calls check for each line; true if there are rows and all passed.  Says how many did, and shows the first that did not. */
bool rows_all(const char *path, bool (*check)(void *ctx, json_t *row), void *ctx);

#endif
