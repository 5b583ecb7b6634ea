/* libcommon/manifest/ids.h - finding two rows of one id among millions, in little memory
 *
 * Sixteen bytes a row (a hash of the id, the row) are sorted in runs on disk and
 * merged; rows whose hashes agree are then compared by their ids. */
#ifndef PENSTOCK_IDS_H
#define PENSTOCK_IDS_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct ids;
/* name: of what the rows are, for errors; it stays the caller's. */
struct ids *ids_open(const char *name, struct error *e);
int ids_add(struct ids *s, struct span id, uint64_t row, struct error *e);
/* same says whether two rows have one id: 1, 0, or -1 with e.  Returns 1 with a < b
 * if it did so for some pair, 0 if all ids differ, -1 failed. */
int ids_check(struct ids *s, int (*same)(void *ctx, uint64_t a, uint64_t b, struct error *e), void *ctx, uint64_t *a,
              uint64_t *b, struct error *e);
void ids_close(struct ids *s);

#endif
