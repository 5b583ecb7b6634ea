/* libcommon/store/cache/mirror.c - see mirror.h */
#include "libcommon/store/cache/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/store/cache/cache.h"
#include "libcommon/store/cache/lru.h"
#include "libcommon/store/checksum.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { PIECE = 32 << 20, FILES_MAX = 10000, POINTER_MAX = 200, HASH = 32 };
#define COPY "copy-"

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
            bad = error_memory(e);
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

/* CACHE/copy-HASH, of all that the copy depends on. */
static char *copy_path(const struct mirror *m, const char *home, struct error *e)
{
    char hash[65], *path;
    struct buf b;
    buf_init(&b, 16 << 20);
    buf_printf(&b, "%s\n", m->prefix);
    for (size_t i = 0; i < m->n; i++)
        buf_printf(&b, "%s %llu %llu %08x\n", m->entry[i].url, (unsigned long long)m->entry[i].info.size,
                   (unsigned long long)m->entry[i].info.generation, m->entry[i].info.crc32c);
    sha256_hex(b.data, b.size, hash);
    bool failed = b.failed || asprintf(&path, "%s/" COPY "%.*s", home, HASH, hash) < 0;
    buf_release(&b);
    if (failed)
        error_memory(e);
    return failed ? NULL : path;
}

/* --- locks: whoever uses a copy shares its lock to the end of the process, whoever makes or
 * removes it holds it alone.  A lock is a file beside it, copy-HASH.lock. --------------------- */

/* how: of flock.  -1: busy (LOCK_NB), or there can be no lock. */
static int copy_lock(const char *path, int how)
{
    char *name;
    int fd = -1;
    if (asprintf(&name, "%s.lock", path) < 0)
        return -1;
    for (;;) {
        struct stat mine, named;
        if ((fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
            break;
        int locked;
        while ((locked = flock(fd, how)) < 0 && errno == EINTR && !stop_asked())
            ;
        bool same = locked == 0 && fstat(fd, &mine) == 0 && stat(name, &named) == 0 && mine.st_ino == named.st_ino;
        if (same)
            break;
        close(fd);              /* or it was removed while we waited */
        fd = -1;
        if (locked < 0)
            break;
    }
    free(name);
    return fd;
}

static bool ours(const char *name)
{
    size_t n = strlen(name);
    return !strncmp(name, COPY, strlen(COPY)) && n >= strlen(COPY) + HASH && (n < 5 || strcmp(name + n - 5, ".lock"));
}

/* A copy, or part of one, that nobody uses. */
static bool copy_remove(const char *path)
{
    size_t n = (size_t)(strrchr(path, '/') - path) + 1 + strlen(COPY) + HASH;
    char *copy = strndup(path, n), *lock, *part;
    int fd = copy ? copy_lock(copy, LOCK_EX | LOCK_NB) : -1;
    bool gone = false;
    if (fd >= 0 && asprintf(&part, "%s.part", copy) >= 0) {
        /* renamed, so that it is never seen half */
        gone = (!strcmp(path, part) || (dir_remove(part, NULL) == 0 && rename(path, part) == 0)) &&
               dir_remove(part, NULL) == 0;
        if (gone && access(copy, F_OK) < 0 && asprintf(&lock, "%s.lock", copy) >= 0) {
            (void)unlink(lock);
            free(lock);
        }
        free(part);
    }
    if (fd >= 0)
        close(fd);
    free(copy);
    return gone;
}

/* --- copying -------------------------------------------------------------------------------- */

/* The copy appears under its name when it is whole. */
static int copy_make(const struct mirror *m, const char *home, const char *path, struct error *e)
{
    char *part;
    uint64_t size = 0, limit;
    if (cache_limit(&limit, e) < 0)
        return -1;
    if (asprintf(&part, "%s.part", path) < 0)
        return error_memory(e);
    for (size_t i = 0; i < m->n; i++)
        size += m->entry[i].info.size;
    (void)lru_shrink(home, limit > size ? limit - size : 0, limit > size ? limit - size : 0, ours, copy_remove);
    note("copying '%s' to '%s'", m->prefix, path);
    int bad = dir_remove(part, e) < 0 || dir_make(part, e) < 0;
    for (size_t i = 0; !bad && i < m->n; i++)
        bad = object_copy(&m->entry[i], part, strlen(m->prefix), e);
    if (!bad && rename(part, path) < 0)
        bad = error_set(e, STATUS_AGAIN, "cannot rename '%s': %s", part, strerror(errno));
    if (bad)
        dir_remove(part, NULL);
    free(part);
    return bad ? -1 : 0;
}

/* Makes the copy unless it is there.  Several programs of a pipeline want it at once: one copies. */
static int copy_get(const struct mirror *m, const char *home, const char *path, struct error *e)
{
    if (dir_make(home, NULL) < 0 && access(path, F_OK) == 0)
        return 0;
    for (;;) {
        int fd = copy_lock(path, LOCK_SH);
        if (access(path, F_OK) == 0) {      /* fd stays open: nobody removes what is in use */
            (void)utimensat(AT_FDCWD, path, NULL, 0);
            return 0;
        }
        if (fd >= 0)
            close(fd);
        fd = copy_lock(path, LOCK_EX);
        if (fd < 0)
            return error_set(e, STATUS_AGAIN, "cannot write in '%s' (PENSTOCK_CACHE chooses another place): %s", home,
                             strerror(errno));
        int bad = access(path, F_OK) == 0 ? 0 : copy_make(m, home, path, e);
        close(fd);
        if (bad)
            return -1;
    }
}

static int mirror(const char *url, bool follow, char **path, struct error *e)
{
    struct mirror m = { 0 };
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (asprintf(&m.prefix, "%.*s/", (int)n, url) < 0)
        return error_memory(e);
    struct error why = { 0 };
    int bad = store_list(m.prefix, entry_add, &m, &why);
    if (bad)
        error_set(e, why.status ? why.status : STATUS_BAD, "%s",
                  why.status ? why.text : "more files than a directory may have");
    if (!bad && m.n == 0) {
        char *to = follow ? pointer_follow(url, &why) : NULL;
        bad = to ? mirror(to, false, path, e) : error_set(e, STATUS_BAD, "'%s': no such directory", url);
        free(to);
    } else if (!bad) {
        char *home = cache_home();
        if (!home)
            error_memory(e);
        bad = home && (*path = copy_path(&m, home, e)) ? copy_get(&m, home, *path, e) : -1;
        free(home);
        if (bad) {
            free(*path);
            *path = NULL;
        }
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
    return *path ? 0 : error_memory(e);
}
