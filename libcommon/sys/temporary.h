/* libcommon/sys/temporary.h - files without a name, for what memory shall not hold */
#ifndef PENSTOCK_TEMPORARY_H
#define PENSTOCK_TEMPORARY_H

#include "libcommon/sys/error.h"

#include <stddef.h>

/* A file without a name, in TMPDIR (else /var/tmp, /tmp), that goes away with its descriptor. */
int temporary_file(struct error *e);
/* All of it, behind what the file has; name: of what it keeps bytes, for the error. */
int temporary_write(int fd, const void *data, size_t n, const char *name, struct error *e);

#endif
