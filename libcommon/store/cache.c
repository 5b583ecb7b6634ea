/* libcommon/store/cache.c - see cache.h */
#include "libcommon/store/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/store/sigv4.h"
#include "libcommon/stream/crc32c.h"
#include "libcommon/sys/file.h"

enum { NAME = 32, TRAILER = 4, STALE_SECONDS = 3600 };  /* a file is the bytes, then their crc32c */

struct cache {
    char *dir;
    uint64_t limit;
    pthread_mutex_t lock;
    uint64_t added;             /* since the directory was last measured */
    unsigned parts;
};

char *cache_home(void)
{
    const char *set = getenv("PENSTOCK_CACHE"), *home = getenv("HOME");
    char *path;
    if (set && *set)
        return strdup(set);
    return asprintf(&path, "%s/.cache/penstock", home ? home : "/tmp") < 0 ? NULL : path;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->dir);
    free(c);
}

static char *path_of(const struct cache *c, const char *url, uint64_t generation)
{
    char *text, hash[65], *path;
    int n = asprintf(&text, "%llu %s", (unsigned long long)generation, url);
    if (n < 0)
        return NULL;
    sha256_hex(text, (size_t)n, hash);
    free(text);
    return asprintf(&path, "%s/%.*s", c->dir, NAME, hash) < 0 ? NULL : path;
}

int64_t cache_size(const struct cache *c, const char *url, uint64_t generation)
{
    char *path = path_of(c, url, generation);
    struct stat s;
    int64_t n = path && stat(path, &s) == 0 && s.st_size >= TRAILER ? (int64_t)s.st_size - TRAILER : -1;
    free(path);
    return n;
}

static bool read_all(int fd, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = read(fd, (char *)to + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

bool cache_get(const struct cache *c, const char *url, uint64_t generation, void *to, size_t n)
{
    char *path = path_of(c, url, generation);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    uint32_t told = 0;
    bool good = fd >= 0 && read_all(fd, to, n) && read_all(fd, &told, TRAILER) && told == crc32c(0, to, n);
    if (good)
        (void)futimens(fd, NULL);       /* used now */
    else if (fd >= 0)
        (void)unlink(path);
    if (fd >= 0)
        close(fd);
    free(path);
    return good;
}

/* --- the bound ------------------------------------------------------------------------ */

struct kept { char name[NAME + 1]; struct timespec used; uint64_t size; };

static int by_use(const void *a, const void *b)
{
    const struct kept *s = a, *t = b;
    if (s->used.tv_sec != t->used.tv_sec)
        return s->used.tv_sec < t->used.tv_sec ? -1 : 1;
    return (s->used.tv_nsec > t->used.tv_nsec) - (s->used.tv_nsec < t->used.tv_nsec);
}

/* All files; part files that a kill left go. */
static struct kept *list(const struct cache *c, size_t *n, uint64_t *total)
{
    DIR *d = opendir(c->dir);
    struct kept *all = NULL;
    size_t room = 0;
    *n = 0;
    *total = 0;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat s;
        size_t length = strlen(entry->d_name);
        if (fstatat(dirfd(d), entry->d_name, &s, 0) < 0 || !S_ISREG(s.st_mode))
            continue;
        if (!strncmp(entry->d_name, "part-", 5) && time(NULL) - s.st_mtime > STALE_SECONDS)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
        if (length != NAME || strspn(entry->d_name, "0123456789abcdef") != NAME)
            continue;
        if (*n == room) {
            struct kept *more = realloc(all, (room = room ? 2 * room : 1024) * sizeof *more);
            if (!more)
                break;
            all = more;
        }
        memcpy(all[*n].name, entry->d_name, NAME + 1);
#ifdef __APPLE__
        all[*n].used = s.st_mtimespec;
#else
        all[*n].used = s.st_mtim;
#endif
        all[(*n)++].size = (uint64_t)s.st_size;
        *total += (uint64_t)s.st_size;
    }
    if (d)
        closedir(d);
    return all;
}

/* Down to nine tenths of the limit, the longest unused first. */
static void shrink(const struct cache *c)
{
    char *lock;
    if (asprintf(&lock, "%s/.lock", c->dir) < 0)
        return;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(lock);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {     /* else another process is at it */
        size_t n;
        uint64_t total;
        struct kept *all = list(c, &n, &total);
        if (n)
            qsort(all, n, sizeof *all, by_use);
        for (size_t i = 0; total > c->limit && i < n && total > c->limit / 10 * 9; i++) {
            char *path;
            if (asprintf(&path, "%s/%s", c->dir, all[i].name) < 0)
                break;
            if (unlink(path) == 0)
                total -= all[i].size;
            free(path);
        }
        free(all);
    }
    if (fd >= 0)
        close(fd);
}

struct cache *cache_open(const char *dir, uint64_t limit, struct error *e)
{
    struct cache *c = calloc(1, sizeof *c);
    if (!c || !(c->dir = strdup(dir))) {
        free(c);
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    c->limit = limit;
    pthread_mutex_init(&c->lock, NULL);
    if (dir_make(dir, e) < 0) {
        cache_close(c);
        return NULL;
    }
    shrink(c);
    return c;
}

void cache_put(struct cache *c, const char *url, uint64_t generation, const void *data, size_t n)
{
    char *path = path_of(c, url, generation), *part = NULL;
    uint32_t sum = crc32c(0, data, n);
    if (!path || n > c->limit / 2) {
        free(path);
        return;
    }
    pthread_mutex_lock(&c->lock);
    unsigned number = c->parts++;
    c->added += n + TRAILER;
    bool full = c->added > c->limit / 16;
    if (full)
        c->added = 0;
    pthread_mutex_unlock(&c->lock);
    if (full)
        shrink(c);
    if (asprintf(&part, "%s/part-%ld-%u", c->dir, (long)getpid(), number) < 0)
        part = NULL;
    int fd = part ? open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    bool good = fd >= 0 && file_write_all(fd, data, n) == 0 && file_write_all(fd, &sum, TRAILER) == 0;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    if (fd >= 0 && (!good || rename(part, path) < 0))
        (void)unlink(part);
    free(part);
    free(path);
}
