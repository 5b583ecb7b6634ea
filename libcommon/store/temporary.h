/* libcommon/store/temporary.h - files without a name */
#ifndef PENSTOCK_TEMPORARY_H
#define PENSTOCK_TEMPORARY_H

#include "libcommon/sys/error.h"

/* A file without a name, in TMPDIR (else /var/tmp, /tmp), that goes away with its descriptor. */
int temporary_file(struct error *e);

#endif
