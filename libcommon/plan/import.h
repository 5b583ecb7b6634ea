/* libcommon/plan/import.h - other ways to keep a data set, turned into lines of JSON
 *
 * WebDataset shards (shard-{0000..0099}.tar, also several separated by blanks) and
 * Kaldi directories (wav.scp, text, segments ...).  Rows name their media as
 * {"path", "at", "size"} where they lie inside an archive; {"error": why} stands
 * for what cannot be read. */
#ifndef PENSTOCK_IMPORT_H
#define PENSTOCK_IMPORT_H

#include "libcommon/sys/error.h"

#include <stdbool.h>

/* Is it one of these?  Then its media are named by whole paths, or relative to where we are. */
bool import_wanted(const char *name);
/* Writes the rows to fd. */
int import_write(const char *name, int fd, struct error *e);

int import_tar(const char *name, int fd, struct error *e);
int import_kaldi(const char *dir, int fd, struct error *e);

#endif
