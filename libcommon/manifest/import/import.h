/* libcommon/manifest/import/import.h - other ways to keep a data set, turned into lines of JSON
 *
 * WebDataset shards (shard-{0000..0099}.tar, also several separated by blanks) and
 * Kaldi directories (wav.scp, text, segments ...).  Rows name their media as
 * {"path", "at", "size", "generation"} where they lie inside an archive (the last, of
 * gs://, is the version that the rows are of); {"error": why} stands for what cannot
 * be read. */
#ifndef PENSTOCK_IMPORT_H
#define PENSTOCK_IMPORT_H

#include "libcommon/sys/error.h"

#include <stdbool.h>

/* Is it one of these? */
bool import_wanted(const char *name);
/* The directory that media in the rows are relative to, so that they stay the same
 * wherever a data set lies: with its last slash, "" here.  malloc'd. */
char *import_base(const char *name);
/* Rows of shards of gs:// are kept there, so that they need not be read again; NULL: nowhere. */
struct cache;
void import_cache(struct cache *c);
/* Writes the rows to fd, a temporary file. */
int import_write(const char *name, int fd, struct error *e);

#endif
