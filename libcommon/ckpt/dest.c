/* libcommon/ckpt/dest.c - checkpoints in a directory: parts, fsync, marker, rename, latest */
#include "libcommon/ckpt/dest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/ckpt/marker.h"
#include "libcommon/ckpt/remote.h"
#include "libcommon/ckpt/steps.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"

enum { CLEAN_EVERY = 32 << 20 };    /* bytes after which written pages leave the cache */

struct ckpt_dest {
    struct ckpt_remote *remote; /* a store does it all; NULL: a directory */
    char *path;
    uint64_t limit;
    int lock;
    char *newest;               /* path of the newest complete one, or NULL */
    char *part;                 /* of the checkpoint being written, or NULL */
    struct marker marker;
    /* the file being written */
    int fd;
    char *file;
    uint64_t clean;
};

static int lost(const char *what, const char *path, struct error *e)
{
    return error_set(e, error_errno_status(errno), "cannot %s '%s': %s", what, path, strerror(errno));
}

/* --- opening -------------------------------------------------------------------- */
static int take_lock(struct ckpt_dest *d, double patience, struct error *e)
{
    char *path = path_join(d->path, ".lock");
    if (!path)
        return error_memory(e);
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc = d->lock < 0 ? lost("write in", d->path, e) : 0;
    bool told = false;
    for (double waited = 0; rc == 0 && flock(d->lock, LOCK_EX | LOCK_NB) < 0; waited += 0.1) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            rc = lost("lock", path, e);
        else if (waited >= patience)
            rc = error_set(e, STATUS_AGAIN, "another ckpt-write still writes in '%s'", d->path);
        else if (!told)
            note("waiting for another ckpt-write to leave '%s'", d->path);
        told = true;
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    }
    free(path);
    return rc;
}

struct ckpt_dest *ckpt_dest_open(const char *path, uint64_t limit, double patience, struct error *e)
{
    struct ckpt_dest *d = calloc(1, sizeof *d);
    if (!d || !(d->path = strdup(path))) {
        error_memory(e);
        ckpt_dest_close(d);
        return NULL;
    }
    d->limit = limit;
    d->lock = d->fd = -1;
    marker_init(&d->marker);
    if (url_is_remote(path)) {
        if ((d->remote = ckpt_remote_open(path, limit, e)))
            return d;
        ckpt_dest_close(d);
        return NULL;
    }
    if (dir_make(path, e) < 0 || take_lock(d, patience, e) < 0 || steps_clean(path, e) < 0 ||
        ckpt_find(path, &d->newest, e) < 0) {
        ckpt_dest_close(d);
        return NULL;
    }
    return d;
}

/* --- one file ------------------------------------------------------------------- */
/* Pages that are on the disk leave the cache: the trainer's memory is worth more. */
static void keep_cache_clean(struct ckpt_dest *d)
{
#ifdef __linux__
    off_t from = (off_t)d->clean, n = (off_t)(d->marker.written - d->clean);
    (void)sync_file_range(d->fd, from, n, SYNC_FILE_RANGE_WRITE);
    if (from > 0) {             /* the piece before has had time to reach the disk */
        (void)sync_file_range(d->fd, 0, from,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        (void)posix_fadvise(d->fd, 0, from, POSIX_FADV_DONTNEED);
    }
#endif
    d->clean = d->marker.written;
}

static int file_finish(struct ckpt_dest *d, struct error *e)
{
    if (d->fd < 0)
        return 0;
    int rc = fsync(d->fd) < 0 ? lost("write", d->file, e) : 0;
#ifdef POSIX_FADV_DONTNEED
    if (rc == 0)
        (void)posix_fadvise(d->fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
    if (close(d->fd) < 0 && rc == 0)
        rc = lost("write", d->file, e);
    d->fd = -1;
    if (rc == 0)
        rc = marker_file_end(&d->marker, e);
    free(d->file);
    d->file = NULL;
    return rc;
}

static int part_begin(struct ckpt_dest *d, uint64_t step, struct error *e)
{
    d->part = step_path(d->path, ".", step, ".part");
    if (!d->part)
        return error_memory(e);
    marker_begin(&d->marker);
    if (dir_remove(d->part, e) < 0)
        return -1;
    return mkdir(d->part, 0777) < 0 ? lost("make", d->part, e) : 0;
}

int ckpt_dest_file(struct ckpt_dest *d, uint64_t step, const char *name, uint64_t size, struct error *e)
{
    if (d->remote)
        return ckpt_remote_file(d->remote, step, name, size, e);
    if ((!d->part && part_begin(d, step, e) < 0) || file_finish(d, e) < 0)
        return -1;
    if (marker_file(&d->marker, name, size, e) < 0)
        return -1;
    if (!(d->file = path_join(d->part, name)))
        return error_memory(e);
    d->fd = open(d->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (d->fd < 0)
        return lost("create", d->file, e);
    d->clean = 0;
#ifdef __linux__                /* a disk without room says so before the bytes have come */
    int err = size ? posix_fallocate(d->fd, 0, (off_t)size) : 0;
    if (err == ENOSPC || err == EDQUOT || err == EFBIG) {
        errno = err;
        return lost("write", d->file, e);
    }
#endif
    return 0;
}

int ckpt_dest_bytes(struct ckpt_dest *d, const void *data, size_t n, struct error *e)
{
    if (d->remote)
        return ckpt_remote_bytes(d->remote, data, n, e);
    if (marker_room(&d->marker, n, e) < 0)
        return -1;
    if (file_write_all(d->fd, data, n) < 0)
        return lost("write", d->file, e);
    marker_bytes(&d->marker, data, n);
    if (d->marker.written - d->clean >= CLEAN_EVERY)
        keep_cache_clean(d);
    return 0;
}

/* --- the whole checkpoint ------------------------------------------------------- */
static int marker_write(struct ckpt_dest *d, struct error *e)
{
    char *path = path_join(d->part, "complete.json");
    int rc = path ? marker_end(&d->marker, e) : error_memory(e);
    if (rc == 0)
        rc = file_replace(path, d->marker.text.data, d->marker.text.size, e);
    free(path);
    return rc < 0 ? -1 : file_sync_dir(d->part, e);
}

/* The part takes its name; a checkpoint of that name (of an abandoned run) leaves. */
static int part_publish(struct ckpt_dest *d, uint64_t step, char *to, struct error *e)
{
    char *old = step_path(d->path, ".", step, ".gone");
    if (!old)
        return error_memory(e);
    int rc = 0;
    if (rename(to, old) < 0 && errno != ENOENT)
        rc = lost("rename", to, e);
    else if (rename(d->part, to) < 0)
        rc = lost("rename", d->part, e);
    if (rc == 0)
        rc = file_sync_dir(d->path, e);
    if (rc == 0)
        rc = dir_remove(old, e);
    free(old);
    return rc;
}

static int latest_point(struct ckpt_dest *d, const char *name, struct error *e)
{
    char *link = path_join(d->path, "latest"), *part = path_join(d->path, ".latest.part");
    int rc = 0;
    if (!link || !part)
        rc = error_memory(e);
    else if ((unlink(part) < 0 && errno != ENOENT) || symlink(name, part) < 0)
        rc = lost("create", part, e);
    else if (rename(part, link) < 0)
        rc = lost("replace", link, e);
    else
        rc = file_sync_dir(d->path, e);
    free(link);
    free(part);
    return rc;
}

int ckpt_dest_commit(struct ckpt_dest *d, uint64_t step, uint64_t best, struct error *e)
{
    if (d->remote)
        return ckpt_remote_commit(d->remote, step, best, e);
    if (!d->part)
        return error_set(e, STATUS_BAD, "a checkpoint without files is committed");
    char *to = step_path(d->path, "", step, "");
    if (!to)
        return error_memory(e);
    if (file_finish(d, e) < 0 || marker_write(d, e) < 0 || part_publish(d, step, to, e) < 0 ||
        latest_point(d, strrchr(to, '/') + 1, e) < 0) {
        free(to);
        return -1;
    }
    free(d->part);
    d->part = NULL;
    free(d->newest);
    d->newest = to;
    return steps_limit(d->path, d->limit, step, best, e);
}

const char *ckpt_dest_newest(const struct ckpt_dest *d)
{
    return d->remote ? ckpt_remote_newest(d->remote) : d->newest;
}

void ckpt_dest_close(struct ckpt_dest *d)
{
    if (!d)
        return;
    ckpt_remote_close(d->remote);
    if (d->fd >= 0)
        close(d->fd);
    if (d->part)
        (void)dir_remove(d->part, NULL);
    if (d->lock >= 0)
        close(d->lock);
    marker_release(&d->marker);
    free(d->path);
    free(d->newest);
    free(d->part);
    free(d->file);
    free(d);
}
