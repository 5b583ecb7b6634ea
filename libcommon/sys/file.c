/* libcommon/sys/file.c - see file.h */
#include "libcommon/sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int cannot(struct error *e, const char *what, const char *path)
{
    int err = errno;
    return error_set(e, error_errno_status(err), "cannot %s '%s': %s", what, path, strerror(err));
}

/* A regular file's descriptor and size.  Opened without blocking, so that a FIFO does not hang us. */
static int regular_open(const char *path, uint64_t *size, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cannot(e, "read", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        cannot(e, "read", path);
    else if (S_ISDIR(st.st_mode))
        error_set(e, STATUS_BAD, "cannot read '%s': it is a directory", path);
    else if (!S_ISREG(st.st_mode))
        error_set(e, STATUS_BAD, "cannot read '%s': it is not a regular file", path);
    else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

int file_read(const char *path, struct buf *b, struct error *e)
{
    uint64_t size = 0;
    int fd = regular_open(path, &size, e);
    if (fd < 0)
        return -1;
    buf_clear(b);
    /* Files under /proc say 0 and hold more, others grow: read until the end. */
    for (;;) {
        size_t chunk = size > b->size ? (size_t)(size - b->size) : 4096;
        if (size > SIZE_MAX || b->size + chunk > b->max)
            chunk = b->max - b->size;
        uint8_t over[1];
        ssize_t n;
        if (chunk) {
            if (buf_reserve(b, chunk) < 0) {
                error_set(e, STATUS_AGAIN, "cannot read '%s': out of memory", path);
                goto fail;
            }
            n = read(fd, b->data + b->size, chunk);
        } else {
            n = read(fd, over, 1);
            if (n > 0) {
                error_set(e, STATUS_BAD, "cannot read '%s': larger than the limit of %zu bytes", path, b->max);
                goto fail;
            }
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            cannot(e, "read", path);
            goto fail;
        }
        if (n == 0)
            break;
        b->size += (size_t)n;
    }
    close(fd);
    /* The terminator lies beyond size, and beyond max if need be. */
    if (b->size == b->room) {
        uint8_t *data = realloc(b->data, b->size + 1);
        if (!data)
            return error_set(e, STATUS_AGAIN, "cannot read '%s': out of memory", path);
        b->data = data;
        b->room = b->size + 1;
    }
    b->data[b->size] = 0;
    return 0;
fail:
    close(fd);
    return -1;
}

int file_map_open(const char *path, struct file_map *m, struct error *e)
{
    *m = (struct file_map){ NULL, 0 };
    uint64_t size = 0;
    int fd = regular_open(path, &size, e);
    if (fd < 0)
        return -1;
    if (size > SIZE_MAX) {
        close(fd);
        return error_set(e, STATUS_BAD, "cannot map '%s': too large for this machine", path);
    }
    if (size) {
        void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            cannot(e, "map", path);
            close(fd);
            return -1;
        }
        *m = (struct file_map){ p, (size_t)size };
    }
    close(fd);
    return 0;
}

void file_map_close(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){ NULL, 0 };
}

int file_write_all(int fd, const void *data, size_t n)
{
    const uint8_t *p = data;
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int dir_fsync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int err = errno;
    close(fd);
    errno = err;
    return rc < 0 && err != EINVAL ? -1 : 0;        /* some file systems cannot, and say so */
}

int file_sync_dir(const char *path, struct error *e)
{
    return dir_fsync(path) < 0 ? cannot(e, "sync directory", path) : 0;
}

int file_replace(const char *path, const void *data, size_t n, struct error *e)
{
    size_t len = strlen(path);
    char *names = malloc(2 * len + 40);
    if (!names)
        return error_set(e, STATUS_AGAIN, "cannot write '%s': out of memory", path);
    char *part = names, *dir = names + len + 32;
    snprintf(part, len + 32, "%s.part.%ld", path, (long)getpid());
    memcpy(dir, path, len + 1);
    char *slash = strrchr(dir, '/');
    if (!slash)
        memcpy(dir, ".", 2);
    else
        slash[slash == dir] = 0;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        cannot(e, "write", path);
        free(names);
        return -1;
    }
    int bad = file_write_all(fd, data, n) < 0 || fsync(fd) < 0;
    int err = errno;
    if (close(fd) < 0 && !bad) {
        bad = 1;
        err = errno;
    }
    if (!bad && (rename(part, path) < 0 || dir_fsync(dir) < 0)) {
        bad = 1;
        err = errno;
    }
    if (bad) {
        unlink(part);
        errno = err;
        cannot(e, "write", path);
    }
    free(names);
    return bad ? -1 : 0;
}

int dir_make(const char *path, struct error *e)
{
    char *dir = strdup(path);
    if (!dir)
        return error_set(e, STATUS_AGAIN, "cannot make directory '%s': out of memory", path);
    int bad = 0;
    for (char *s = dir + (*dir == '/'); !bad; s++) {
        if (*s && *s != '/')
            continue;
        char was = *s;
        *s = 0;
        struct stat st;
        if (*dir && mkdir(dir, 0777) < 0) {
            int why = errno;            /* which stat sets anew */
            bool there = stat(dir, &st) == 0;
            errno = there ? ENOTDIR : why;
            if (!there || !S_ISDIR(st.st_mode))
                bad = cannot(e, "make directory", dir);
        }
        *s = was;
        if (!was)
            break;
    }
    free(dir);
    return bad;
}

int dir_remove(const char *path, struct error *e)
{
    /* Not through a symlink: what it names is not ours to empty. */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        errno = err;
        return err == ENOENT ? 0 : cannot(e, "remove", path);
    }
    int bad = 0;
    for (struct dirent *entry; !bad && (entry = readdir(d));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *name = path_join(path, entry->d_name);
        struct stat st;
        if (!name)
            bad = error_set(e, STATUS_AGAIN, "cannot remove '%s': out of memory", path);
        else if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode))
            bad = dir_remove(name, e);
        else if (unlink(name) < 0 && errno != ENOENT)
            bad = cannot(e, "remove", name);
        free(name);
    }
    closedir(d);
    if (!bad && rmdir(path) < 0 && errno != ENOENT)
        bad = cannot(e, "remove", path);
    return bad;
}

char *path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir), room = n + strlen(name) + 2;
    char *path = malloc(room);
    if (!path)
        return NULL;
    if (*name == '/' || !n)
        snprintf(path, room, "%s", name);
    else
        snprintf(path, room, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
    return path;
}
