/* libcommon/store/mirror.c - see mirror.h */
#include "libcommon/store/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/sigv4.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"

enum { PIECE = 32 << 20, FILES_MAX = 10000, POINTER_MAX = 200 };

struct entry { char *url; struct object_info info; };

struct mirror {
    char *prefix;               /* with its last slash */
    struct entry *entry;
    size_t n, room;
};

static int entry_add(void *ctx, const char *url, const struct object_info *i)
{
    struct mirror *m = ctx;
    const char *name = url + strlen(m->prefix);
    if (!*name || strchr(name, '/') || *name == '.')
        return 0;
    if (m->n == m->room) {
        size_t room = m->room ? 2 * m->room : 32;
        struct entry *more = room > FILES_MAX ? NULL : realloc(m->entry, room * sizeof *more);
        if (!more)
            return -1;
        m->entry = more;
        m->room = room;
    }
    if (!(m->entry[m->n].url = strdup(url)))
        return -1;
    m->entry[m->n++].info = *i;
    return 0;
}

static void mirror_release(struct mirror *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->entry[i].url);
    free(m->entry);
    free(m->prefix);
}

/* What `latest` says, beside it; NULL if there is no such object. */
static char *pointer_follow(const char *url, struct error *e)
{
    struct buf b;
    char *to = NULL;
    buf_init(&b, POINTER_MAX);
    if (store_stat(url, NULL, e) == 1 && store_get(url, &b, e) == 0) {
        while (b.size && strchr(" \r\n", b.data[b.size - 1]))
            b.size--;
        buf_append(&b, "", 1);
        if (!b.failed && b.size > 1 && !strpbrk((char *)b.data, "/\n"))
            to = url_resolve(url, (char *)b.data);
    }
    buf_release(&b);
    return to;
}

static int object_copy(const struct entry *from, const char *dir, size_t prefix, struct error *e)
{
    char *path = path_join(dir, from->url + prefix);
    struct object *o = path ? object_open_version(from->url, from->info.generation, e) : NULL;
    int fd = o ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1, bad = fd < 0 ? -1 : 0;
    uint64_t size = o ? object_info(o)->size : 0;
    uint8_t *piece = malloc(size < PIECE ? (size_t)size + 1 : PIECE);
    if (o && fd < 0)
        error_set(e, error_errno_status(errno), "cannot write '%s': %s", path, strerror(errno));
    for (uint64_t at = 0; !bad && at < size; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        if (!piece)
            bad = error_set(e, STATUS_AGAIN, "out of memory");
        else if ((bad = object_read(o, at, n, piece, e)) == 0 && file_write_all(fd, piece, n) < 0)
            bad = error_set(e, error_errno_status(errno), "cannot write '%s': %s", path, strerror(errno));
    }
    if (fd >= 0 && close(fd) < 0 && !bad)
        bad = error_set(e, error_errno_status(errno), "cannot write '%s': %s", path, strerror(errno));
    object_close(o);
    free(piece);
    free(path);
    return bad;
}

/* CACHE/NAME, NAME a hash of all that the copy depends on. */
static char *copy_path(const struct mirror *m, struct error *e)
{
    const char *cache = getenv("PENSTOCK_CACHE"), *home = getenv("HOME");
    char hash[65], *path;
    struct buf b;
    buf_init(&b, 16 << 20);
    buf_printf(&b, "%s\n", m->prefix);
    for (size_t i = 0; i < m->n; i++)
        buf_printf(&b, "%s %llu %llu %08x\n", m->entry[i].url, (unsigned long long)m->entry[i].info.size,
                   (unsigned long long)m->entry[i].info.generation, m->entry[i].info.crc32c);
    sha256_hex(b.data, b.size, hash);
    int r = cache && *cache ? asprintf(&path, "%s/copy-%.32s", cache, hash) : asprintf(&path, "%s/.cache/penstock/copy-%.32s", home ? home : "/tmp", hash);
    bool failed = b.failed || r < 0;
    buf_release(&b);
    if (failed)
        error_set(e, STATUS_AGAIN, "out of memory");
    return failed ? NULL : path;
}

/* The copy appears under its name when it is whole. */
static int copy_make(const struct mirror *m, const char *path, struct error *e)
{
    char *part;
    if (access(path, F_OK) == 0)
        return 0;
    if (asprintf(&part, "%s.part-%ld", path, (long)getpid()) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory");
    note("copying '%s' to '%s'", m->prefix, path);
    int bad = dir_make(part, e);
    for (size_t i = 0; !bad && i < m->n; i++)
        bad = object_copy(&m->entry[i], part, strlen(m->prefix), e);
    if (!bad && rename(part, path) < 0 && access(path, F_OK) < 0)
        bad = error_set(e, STATUS_AGAIN, "cannot rename '%s': %s", part, strerror(errno));
    if (access(part, F_OK) == 0)
        dir_remove(part, NULL);
    free(part);
    return bad;
}

static int mirror(const char *url, bool follow, char **path, struct error *e)
{
    struct mirror m = { 0 };
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (asprintf(&m.prefix, "%.*s/", (int)n, url) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory");
    struct error why = { 0 };
    int bad = store_list(m.prefix, entry_add, &m, &why);
    if (bad)
        error_set(e, why.status ? why.status : STATUS_BAD, "%s", why.status ? why.text : "more files than a directory may have");
    if (!bad && m.n == 0) {
        char *to = follow ? pointer_follow(url, &why) : NULL;
        bad = to ? mirror(to, false, path, e) : error_set(e, STATUS_BAD, "'%s': no such directory", url);
        free(to);
    } else if (!bad && (!(*path = copy_path(&m, e)) || copy_make(&m, *path, e) < 0)) {
        free(*path);
        *path = NULL;
        bad = -1;
    }
    mirror_release(&m);
    return bad;
}

int store_mirror(const char *url, char **path, struct error *e)
{
    *path = NULL;
    if (url_is_remote(url))
        return mirror(url, true, path, e);
    *path = strdup(url);
    return *path ? 0 : error_set(e, STATUS_AGAIN, "out of memory");
}
