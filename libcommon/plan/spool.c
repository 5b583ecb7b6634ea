/* libcommon/plan/spool.c - see spool.h */
#include "libcommon/plan/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/plan/import.h"
#include "libcommon/store/kind.h"
#include "libcommon/store/temporary.h"
#include "libcommon/sys/file.h"

enum { PIECE = 1 << 20 };

/* Input that cannot be read again where it is: copied to a temporary file. */
static struct object *spool(int from, struct object *object, const char *name, struct error *e)
{
    int fd = temporary_file(e);
    uint8_t *piece = malloc(PIECE);
    uint64_t done = 0;
    bool good = fd >= 0 && piece;
    while (good) {
        ssize_t n;
        if (object) {
            uint64_t left = object_info(object)->size - done;
            n = left < PIECE ? (ssize_t)left : PIECE;
            if (object_read(object, done, (size_t)n, piece, e) < 0)
                good = false;
        } else if ((n = read(from, piece, PIECE)) < 0) {
            if (errno == EINTR)
                continue;
            error_set(e, STATUS_AGAIN, "cannot read '%s': %s", name, strerror(errno));
            good = false;
        }
        if (!good || n == 0)
            break;
        done += (uint64_t)n;
        if (file_write_all(fd, piece, (size_t)n) < 0) {
            error_set(e, STATUS_AGAIN, "cannot copy '%s' to a temporary file (TMPDIR chooses its place): %s", name, strerror(errno));
            good = false;
        }
    }
    free(piece);
    if (!good && fd >= 0)
        close(fd);
    return good ? object_from_fd(fd, name, e) : NULL;
}

struct object *spool_open(const char *name, struct error *e)
{
    if (!strcmp(name, "-")) {
        if (!isatty(STDIN_FILENO))
            return spool(STDIN_FILENO, NULL, "stdin", e);
        error_set(e, STATUS_BAD, "the manifest is a terminal; give a file, or pipe one in");
        return NULL;
    }
    if (import_wanted(name)) {
        int fd = temporary_file(e);
        if (fd < 0)
            return NULL;
        if (import_write(name, fd, e) == 0)
            return object_from_fd(fd, name, e);
        close(fd);
        return NULL;
    }
    struct object *o = object_open(name, e);
    if (!o || !url_is_remote(name))
        return o;
    struct object *copy = spool(-1, o, name, e);
    object_close(o);
    return copy;
}
