/* libcommon/store/cache/cache.c - see cache.h */
#include "libcommon/store/cache/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/cli/opt.h"
#include "libcommon/store/cache/lru.h"
#include "libcommon/store/checksum.h"
#include "libcommon/sys/crc32c.h"
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

int cache_limit(uint64_t *limit, struct error *e)
{
    const char *set = getenv("PENSTOCK_CACHE_SIZE");
    *limit = UINT64_C(50) << 30;
    if (set && *set && !opt_size(set, limit))
        return error_set(e, STATUS_BAD, "PENSTOCK_CACHE_SIZE: '%s' is no size; 50G is one", set);
    return 0;
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

static bool ours(const char *name)
{
    return strlen(name) == NAME && strspn(name, "0123456789abcdef") == NAME;
}

static bool file_remove(const char *path)
{
    return unlink(path) == 0;
}

/* Down to nine tenths of the limit, so that it is not done for each file. False: another process is at it. */
static bool shrink(const struct cache *c)
{
    return lru_shrink(c->dir, c->limit, c->limit / 10 * 9, ours, file_remove);
}

/* Part files that a kill left. */
static void parts_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct stat s;
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (!strncmp(entry->d_name, "part-", 5) && fstatat(dirfd(d), entry->d_name, &s, 0) == 0 &&
            time(NULL) - s.st_mtime > STALE_SECONDS)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

struct cache *cache_open(const char *dir, uint64_t limit, struct error *e)
{
    struct cache *c = calloc(1, sizeof *c);
    if (!c || !(c->dir = strdup(dir))) {
        free(c);
        error_memory(e);
        return NULL;
    }
    c->limit = limit;
    pthread_mutex_init(&c->lock, NULL);
    if (dir_make(dir, e) < 0) {
        cache_close(c);
        return NULL;
    }
    parts_remove(dir);
    (void)shrink(c);
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
    pthread_mutex_unlock(&c->lock);
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
    /* Once it is there, and one thread at a time: what is added meanwhile is measured by the next. */
    pthread_mutex_lock(&c->lock);
    c->added += n + TRAILER;
    if (c->added > c->limit / 16 && shrink(c))
        c->added = 0;
    pthread_mutex_unlock(&c->lock);
}
