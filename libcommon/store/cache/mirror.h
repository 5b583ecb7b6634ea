/* libcommon/store/cache/mirror.h - a directory of a store as a directory of this machine */
#ifndef PENSTOCK_MIRROR_H
#define PENSTOCK_MIRROR_H

#include "libcommon/sys/error.h"

/* *path becomes a local directory with the objects under url (without those of
 * directories below): url itself if it is a path, else a copy in PENSTOCK_CACHE
 * (else ~/.cache/penstock), which is kept and found again as long as names, sizes
 * and versions are the same.  Copies in all are kept within PENSTOCK_CACHE_SIZE;
 * none goes while a process lives that asked for it here.  An object called `latest` is followed to the
 * directory beside it that it names.  malloc'd. */
int store_mirror(const char *url, char **path, struct error *e);

#endif
