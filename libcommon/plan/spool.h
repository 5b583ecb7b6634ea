/* libcommon/plan/spool.h - temporary files, and manifests copied into them */
#ifndef PENSTOCK_SPOOL_H
#define PENSTOCK_SPOOL_H

#include "libcommon/store/store.h"

/* A file without a name, in TMPDIR (else /var/tmp, /tmp), that goes away with its descriptor. */
int temporary_file(struct error *e);
/* An object that can be read row by row: a local file as it lies; standard input
 * ("-") and what is remote are copied to a temporary file first. */
struct object *spool_open(const char *name, struct error *e);

#endif
