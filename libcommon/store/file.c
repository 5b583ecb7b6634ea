/* libcommon/store/file.c - the store of local files: paths and file:// URLs
 *
 * An object is pinned by its open descriptor: a file replaced by rename is still
 * read as it was, and one that is changed in place shows by its times or size. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/store/kind.h"
#include "libcommon/sys/file.h"

struct file_object {
    struct object base;
    int fd;
};

struct file_writer {
    struct store_writer base;
    int fd;
    char *path, *part;
};

/* file:///a/b is /a/b; a path stays. */
static const char *path_of(const char *url)
{
    return strncasecmp(url, "file://", 7) ? url : url + 7;
}

static uint64_t generation_of(const struct stat *s)
{
#ifdef __APPLE__
    return (uint64_t)s->st_mtimespec.tv_sec * 1000000000 + (uint64_t)s->st_mtimespec.tv_nsec;
#else
    return (uint64_t)s->st_mtim.tv_sec * 1000000000 + (uint64_t)s->st_mtim.tv_nsec;
#endif
}

static int regular_check(const char *name, const struct stat *s, struct error *e)
{
    if (S_ISREG(s->st_mode))
        return 0;
    return error_set(e, STATUS_BAD, "'%s' is %s, not a file", name,
                     S_ISDIR(s->st_mode) ? "a directory" : S_ISFIFO(s->st_mode) ? "a pipe" :
                     S_ISSOCK(s->st_mode) ? "a socket" : "a device");
}

struct object *object_from_fd(int fd, const char *name, struct error *e)
{
    struct stat s;
    struct file_object *o = NULL;
    if (fstat(fd, &s) < 0) {
        error_set(e, error_errno_status(errno), "'%s': %s", name, strerror(errno));
    } else if (regular_check(name, &s, e) == 0) {
        o = calloc(1, sizeof *o);
        if (!o || !(o->base.url = strdup(name))) {
            error_set(e, STATUS_AGAIN, "'%s': out of memory", name);
            free(o);
            o = NULL;
        }
    }
    if (!o) {
        close(fd);
        return NULL;
    }
    o->base.kind = &store_file;
    o->base.info = (struct object_info){ .size = (uint64_t)s.st_size, .generation = generation_of(&s) };
    o->fd = fd;
    return &o->base;
}

/* Without O_NONBLOCK a pipe that nobody writes to would hold us here for ever. */
static struct object *file_open(const char *url, uint64_t generation, struct error *e)
{
    (void)generation;
    int fd = open(path_of(url), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        error_set(e, error_errno_status(errno), "'%s': %s", url, strerror(errno));
        return NULL;
    }
    return object_from_fd(fd, url, e);
}

static int file_read_range(struct object *base, uint64_t offset, size_t n, void *to, struct error *e)
{
    struct file_object *o = (struct file_object *)base;
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(o->fd, (char *)to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(e, error_errno_status(errno), "'%s': %s", base->url, strerror(errno));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    struct stat s;
    if (done < n || fstat(o->fd, &s) < 0 || (uint64_t)s.st_size != base->info.size ||
        generation_of(&s) != base->info.generation)
        return error_set(e, STATUS_BAD, "'%s': object changed while it was read", base->url);
    return 0;
}

static void file_close(struct object *base)
{
    struct file_object *o = (struct file_object *)base;
    close(o->fd);
    free(base->url);
    free(o);
}

static int file_put(const char *url, const void *data, size_t n, struct error *e)
{
    return file_replace(path_of(url), data, n, e);
}

static int file_stat(const char *url, struct object_info *i, struct error *e)
{
    struct stat s;
    if (stat(path_of(url), &s) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return error_set(e, error_errno_status(errno), "'%s': %s", url, strerror(errno));
    }
    if (regular_check(url, &s, e) < 0)
        return -1;
    *i = (struct object_info){ .size = (uint64_t)s.st_size, .generation = generation_of(&s) };
    return 1;
}

static int file_remove(const char *url, struct error *e)
{
    if (unlink(path_of(url)) < 0 && errno != ENOENT)
        return error_set(e, error_errno_status(errno), "cannot delete '%s': %s", url, strerror(errno));
    return 0;
}

/* --- listing: a prefix is a directory, or a directory and the start of a name --- */

struct listing {
    int (*each)(void *ctx, const char *url, const struct object_info *i);
    void *ctx;
};

/* Objects are named by whole paths, so that a directory sorts as "name/". */
static int by_path(const struct dirent **a, const struct dirent **b)
{
    const char *s = (*a)->d_name, *t = (*b)->d_name;
    while (*s && *s == *t)
        s++, t++;
    int x = *s ? (unsigned char)*s : (*a)->d_type == DT_DIR ? '/' : 0;
    int y = *t ? (unsigned char)*t : (*b)->d_type == DT_DIR ? '/' : 0;
    return x - y;
}

static int list_dir(const struct listing *l, const char *dir, const char *start, struct error *e)
{
    struct dirent **entry;
    int n = scandir(*dir ? dir : ".", &entry, NULL, by_path), r = 0;
    if (n < 0)
        return error_set(e, error_errno_status(errno), "'%s': %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        struct stat s;
        char *path = NULL;
        if (r == 0 && strcmp(name, ".") && strcmp(name, "..") && !strncmp(name, start, strlen(start))) {
            if (asprintf(&path, "%s%s", dir, name) < 0)
                path = NULL, r = error_memory(e);
            else if (lstat(path, &s) < 0)
                ;               /* gone meanwhile */
            else if (S_ISDIR(s.st_mode)) {
                char *below;
                if (asprintf(&below, "%s/", path) < 0)
                    r = error_memory(e);
                else {
                    r = list_dir(l, below, "", e);
                    free(below);
                }
            } else if (stat(path, &s) == 0 && S_ISREG(s.st_mode)) {
                struct object_info info = { .size = (uint64_t)s.st_size, .generation = generation_of(&s) };
                r = l->each(l->ctx, path, &info);
            }
        }
        free(path);
        free(entry[i]);
    }
    free(entry);
    return r;
}

static int file_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i),
                     void *ctx, struct error *e)
{
    const char *path = path_of(prefix), *slash = strrchr(path, '/');
    struct listing l = { each, ctx };
    char *dir = strndup(path, slash ? (size_t)(slash + 1 - path) : 0);
    if (!dir)
        return error_memory(e);
    int r = list_dir(&l, dir, slash ? slash + 1 : path, e);
    free(dir);
    return r;
}

/* --- writing: a part file beside it, fsync, rename, fsync of the directory ------- */

static void writer_free(struct file_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w->part);
    free(w);
}

static struct store_writer *file_writer_open(const char *url, struct error *e)
{
    struct file_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path_of(url))) || asprintf(&w->part, "%s.part", w->path) < 0) {
        error_memory(e);
        if (w)
            free(w->path);
        free(w);
        return NULL;
    }
    w->base.kind = &store_file;
    w->fd = open(w->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        error_set(e, error_errno_status(errno), "cannot write '%s': %s", w->part, strerror(errno));
        writer_free(w);
        return NULL;
    }
    return &w->base;
}

static int file_writer_append(struct store_writer *base, const void *data, size_t n, struct error *e)
{
    struct file_writer *w = (struct file_writer *)base;
    if (file_write_all(w->fd, data, n) < 0)
        return error_set(e, error_errno_status(errno), "cannot write '%s': %s", w->part, strerror(errno));
    return 0;
}

static int file_writer_commit(struct store_writer *base, struct error *e)
{
    struct file_writer *w = (struct file_writer *)base;
    int r = 0;
    if (fsync(w->fd) < 0 || rename(w->part, w->path) < 0) {
        r = error_set(e, error_errno_status(errno), "cannot write '%s': %s", w->path, strerror(errno));
        unlink(w->part);
    } else {
        char *slash = strrchr(w->path, '/');
        if (slash)
            slash[slash == w->path] = 0;
        r = file_sync_dir(slash ? w->path : ".", e);
    }
    writer_free(w);
    return r;
}

static void file_writer_abort(struct store_writer *base)
{
    struct file_writer *w = (struct file_writer *)base;
    unlink(w->part);
    writer_free(w);
}

const struct store_kind store_file = {
    .scheme = "file",
    .open = file_open, .read = file_read_range, .close = file_close,
    .put = file_put, .list = file_list, .stat = file_stat, .remove = file_remove,
    .writer_open = file_writer_open, .writer_append = file_writer_append,
    .writer_commit = file_writer_commit, .writer_abort = file_writer_abort,
};
