/* libcommon/format/tar.h - the members of a tar archive: ustar, with GNU's and pax's long names
 *
 * https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13 */
#ifndef PENSTOCK_TAR_H
#define PENSTOCK_TAR_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct tar {
    /* Reads exactly n bytes of the archive at an offset; -1 with e. */
    int (*read)(void *ctx, uint64_t offset, size_t n, void *to, struct error *e);
    void *ctx;
    uint64_t size;              /* of the archive */
    uint64_t at;                /* starts at 0 */
};

enum { TAR_NAME = 1024 };

struct tar_member {
    char name[TAR_NAME];
    uint64_t offset, size;      /* of its bytes in the archive: inside it */
};

/* The next regular file: 1; 0 at the end; -1: damaged or truncated at t->at, or unreadable. */
int tar_next(struct tar *t, struct tar_member *m, struct error *e);

#endif
