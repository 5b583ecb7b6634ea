/* libcommon/manifest/spool.h - manifests that must be copied to be read again */
#ifndef PENSTOCK_SPOOL_H
#define PENSTOCK_SPOOL_H

#include "libcommon/store/store.h"

/* An object that can be read row by row: a local file as it lies; standard input
 * ("-"), what is remote and what is gzip are copied to a temporary file first,
 * inflated; shards and directories are made into rows (import/import.h). */
struct object *spool_open(const char *name, struct error *e);

#endif
