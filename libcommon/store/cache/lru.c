/* libcommon/store/cache/lru.c - see lru.h */
#include "libcommon/store/cache/lru.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/sys/file.h"

struct kept { char *name; struct timespec used; uint64_t size; };

static int by_use(const void *a, const void *b)
{
    const struct kept *s = a, *t = b;
    if (s->used.tv_sec != t->used.tv_sec)
        return s->used.tv_sec < t->used.tv_sec ? -1 : 1;
    return (s->used.tv_nsec > t->used.tv_nsec) - (s->used.tv_nsec < t->used.tv_nsec);
}

/* Of the files in a directory of the directory d. */
static uint64_t files_size(int d, const char *name)
{
    int fd = openat(d, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *inner = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t n = 0;
    struct stat s;
    for (struct dirent *entry; inner && (entry = readdir(inner));)
        if (fstatat(dirfd(inner), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode))
            n += (uint64_t)s.st_size;
    if (inner)
        closedir(inner);
    else if (fd >= 0)
        close(fd);
    return n;
}

static struct kept *list(const char *dir, bool (*ours)(const char *name), size_t *n, uint64_t *total)
{
    DIR *d = opendir(dir);
    struct kept *all = NULL;
    size_t room = 0;
    *n = 0;
    *total = 0;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat s;
        if (!ours(entry->d_name) || fstatat(dirfd(d), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)))
            continue;
        if (*n == room) {
            struct kept *more = realloc(all, (room = room ? 2 * room : 1024) * sizeof *more);
            if (!more)
                break;
            all = more;
        }
        struct kept *k = &all[*n];
        if (!(k->name = strdup(entry->d_name)))
            break;
        ++*n;
#ifdef __APPLE__
        k->used = s.st_mtimespec;
#else
        k->used = s.st_mtim;
#endif
        k->size = S_ISDIR(s.st_mode) ? files_size(dirfd(d), entry->d_name) : (uint64_t)s.st_size;
        *total += k->size;
    }
    if (d)
        closedir(d);
    return all;
}

bool lru_shrink(const char *dir, uint64_t limit, uint64_t target, bool (*ours)(const char *name),
                bool (*gone)(const char *path))
{
    char *lock = path_join(dir, ".lock");
    int fd = lock ? open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    free(lock);
    bool mine = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (mine) {
        size_t n;
        uint64_t total;
        struct kept *all = list(dir, ours, &n, &total);
        if (n)
            qsort(all, n, sizeof *all, by_use);
        bool over = total > limit;
        for (size_t i = 0; i < n; i++) {
            char *path = over && total > target ? path_join(dir, all[i].name) : NULL;
            if (path && gone(path))
                total -= all[i].size;
            free(path);
            free(all[i].name);
        }
        free(all);
    }
    if (fd >= 0)
        close(fd);
    return mine;
}
