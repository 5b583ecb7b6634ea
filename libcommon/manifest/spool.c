/* libcommon/manifest/spool.c - see spool.h */
#include "libcommon/manifest/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "libcommon/manifest/import/import.h"
#include "libcommon/store/kind.h"
#include "libcommon/sys/temporary.h"

enum { PIECE = 1 << 20 };

/* Where bytes come from: an object, or else a descriptor. */
struct origin {
    const char *name;
    struct object *object;
    int fd;
    uint64_t done;
};

/* A whole piece, or less at the end; -1. */
static ssize_t piece_read(struct origin *from, uint8_t *piece, struct error *e)
{
    size_t n = 0;
    if (from->object) {
        uint64_t left = object_info(from->object)->size - from->done;
        n = left < PIECE ? (size_t)left : PIECE;
        if (object_read(from->object, from->done, n, piece, e) < 0)
            return -1;
    }
    while (!from->object && n < PIECE) {
        ssize_t k = read(from->fd, piece + n, PIECE - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_set(e, STATUS_AGAIN, "cannot read '%s': %s", from->name, strerror(errno));
        if (k == 0)
            break;
        n += (size_t)k;
    }
    from->done += n;
    return (ssize_t)n;
}

/* --- gzip ----------------------------------------------------------------------- */

static bool packed(const uint8_t *b, size_t n)
{
    return n >= 2 && b[0] == 0x1f && b[1] == 0x8b;
}

struct unpacking {
    z_stream z;
    bool ended;                 /* a member is complete; another may follow */
    uint8_t plain[PIECE];
};

static int unpack(struct unpacking *u, uint8_t *data, size_t n, int fd, const struct origin *from, struct error *e)
{
    u->z.next_in = data;
    u->z.avail_in = (uInt)n;
    while (u->z.avail_in) {
        if (u->ended && !*u->z.next_in) {       /* padding */
            u->z.next_in++;
            u->z.avail_in--;
            continue;
        }
        if (u->ended)
            inflateReset(&u->z);
        u->ended = false;
        int r = Z_OK;
        do {
            u->z.next_out = u->plain;
            u->z.avail_out = PIECE;
            r = inflate(&u->z, Z_NO_FLUSH);
            if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
                return error_set(e, STATUS_BAD, "'%s' is damaged: its gzip cannot be inflated before byte %llu",
                                 from->name, (unsigned long long)from->done);
            if (temporary_write(fd, u->plain, PIECE - u->z.avail_out, from->name, e) < 0)
                return -1;
        } while (r == Z_OK && !u->z.avail_out);
        u->ended = r == Z_STREAM_END;
    }
    return 0;
}

/* All of it, inflated if it begins like gzip. */
static int copy(struct origin *from, int fd, uint8_t *piece, struct unpacking *u, struct error *e)
{
    ssize_t n;
    bool inflating = false;
    for (bool first = true; (n = piece_read(from, piece, e)) > 0; first = false) {
        if (first)
            inflating = packed(piece, (size_t)n);
        int bad = inflating ? unpack(u, piece, (size_t)n, fd, from, e) :
                  temporary_write(fd, piece, (size_t)n, from->name, e);
        if (bad)
            return -1;
    }
    if (n == 0 && inflating && !u->ended)
        return error_set(e, STATUS_BAD, "'%s' is cut short: its gzip has no end", from->name);
    return n < 0 ? -1 : 0;
}

/* Input that cannot be read again where it is, as it is: copied to a temporary file. */
static struct object *spool(int fd, struct object *object, const char *name, struct error *e)
{
    struct origin from = { name, object, fd, 0 };
    int to = temporary_file(e);
    uint8_t *piece = malloc(PIECE);
    struct unpacking *u = calloc(1, sizeof *u);
    int bad = to < 0 ? -1 : 0;
    if (!bad && (!piece || !u || inflateInit2(&u->z, 15 + 16) != Z_OK))
        bad = error_memory(e);
    if (!bad)
        bad = copy(&from, to, piece, u, e);
    if (u)
        inflateEnd(&u->z);
    free(u);
    free(piece);
    if (bad && to >= 0)
        close(to);
    return bad ? NULL : object_from_fd(to, name, e);
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
    uint8_t first[2] = { 0 };
    if (!o)
        return NULL;
    if (!url_is_remote(name) && (object_info(o)->size < 2 || (object_read(o, 0, 2, first, e) == 0 && !packed(first, 2))))
        return o;
    struct object *copy = spool(-1, o, name, e);
    object_close(o);
    return copy;
}
