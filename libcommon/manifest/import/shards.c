/* libcommon/manifest/import/shards.c - many shards as rows: their names, several at a time, rows that are known already
 *
 * The plan needs the number of rows before the first of them, so that shards are
 * gone through once for their index.  Several are at the same time, each into a
 * temporary file; their rows follow in the order of the names. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/manifest/import/import.h"
#include "libcommon/manifest/import/import_impl.h"
#include "libcommon/store/cache/cache.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/temporary.h"

enum { SHARDS_MAX = 1000000, THREADS = 8, AHEAD = 32, PIECE = 1 << 20, KEEP_MAX = 64 << 20, ROWS_VERSION = 1 };

static struct cache *cache;

void import_cache(struct cache *c) { cache = c; }

/* --- names ------------------------------------------------------------------------------ */

struct names { char **name; size_t n, room; };

static int name_add(struct names *names, const char *name, struct error *e)
{
    if (names->n == SHARDS_MAX)
        return error_set(e, STATUS_BAD, "more than %d shards", SHARDS_MAX);
    if (names->n == names->room) {
        size_t room = names->room ? 2 * names->room : 16;
        char **more = realloc(names->name, room * sizeof *more);
        if (!more)
            return error_memory(e);
        names->name = more;
        names->room = room;
    }
    if (!(names->name[names->n] = strdup(name)))
        return error_memory(e);
    names->n++;
    return 0;
}

/* The first {A..B} or {x,y} of a name, each in its turn. */
static int braces(const char *name, struct names *names, struct error *e)
{
    const char *open = strchr(name, '{'), *close = open ? strchr(open, '}') : NULL, *dots = open ? strstr(open, "..") : NULL;
    int bad = 0;
    char *one;
    if (!close)
        return name_add(names, name, e);
    if (dots && dots < close) {
        char *end_a, *end_b;
        unsigned long long a = strtoull(open + 1, &end_a, 10), b = strtoull(dots + 2, &end_b, 10);
        int width = (int)(dots - open - 1);
        if (end_a != dots || end_b != close || width == 0 || b < a)
            return error_set(e, STATUS_BAD, "'%s': {%.*s} is no range of numbers", name, (int)(close - open - 1), open + 1);
        for (; !bad && a <= b; a++) {
            if (asprintf(&one, "%.*s%0*llu%s", (int)(open - name), name, width, a, close + 1) < 0)
                return error_memory(e);
            bad = braces(one, names, e);
            free(one);
        }
        return bad;
    }
    for (const char *at = open + 1; !bad && at <= close; at += strcspn(at, ",}") + 1) {
        if (asprintf(&one, "%.*s%.*s%s", (int)(open - name), name, (int)strcspn(at, ",}"), at, close + 1) < 0)
            return error_memory(e);
        bad = braces(one, names, e);
        free(one);
    }
    return bad;
}

size_t import_shards_base(const char *name)
{
    size_t n = strcspn(name, "{");
    while (n && name[n - 1] != '/')
        n--;
    return n;
}

/* --- rows that are known ------------------------------------------------------------------ */

static bool rows_known(const char *key, uint64_t generation, int fd)
{
    int64_t n = cache_size(cache, key, generation);
    char *rows = n >= 0 ? malloc((size_t)n + 1) : NULL;
    bool good = rows && cache_get(cache, key, generation, rows, (size_t)n) && file_write_all(fd, rows, (size_t)n) == 0;
    if (!good)
        (void)(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    free(rows);
    return good;
}

static void rows_keep(const char *key, uint64_t generation, int fd)
{
    off_t n = lseek(fd, 0, SEEK_END);
    char *rows = n >= 0 && n <= KEEP_MAX ? malloc((size_t)n + 1) : NULL;
    if (rows && pread(fd, rows, (size_t)n, 0) == n)
        cache_put(cache, key, generation, rows, (size_t)n);
    free(rows);
}

static int rows_of(const char *path, size_t base, int fd, struct error *e)
{
    struct object_info i = { 0 };
    char *key;
    if (strncmp(path, "gs://", 5))          /* others have no generations */
        return import_shard(path, base, 0, fd, e);
    if (store_stat(path, &i, e) < 0)
        return -1;
    if (!cache || !i.generation)
        return import_shard(path, base, i.generation, fd, e);
    if (asprintf(&key, "rows %d %zu %s", ROWS_VERSION, base, path) < 0)
        return error_memory(e);
    int bad = rows_known(key, i.generation, fd) ? 0 : import_shard(path, base, i.generation, fd, e) < 0 ? -1 : 1;
    if (bad > 0)
        rows_keep(key, i.generation, fd);
    free(key);
    return bad < 0 ? -1 : 0;
}

/* --- several at a time ------------------------------------------------------------------------ */

struct job { int fd, bad; bool done; struct error error; };

struct work {
    const struct names *names;
    size_t base;
    struct job *job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next, written;       /* to be begun; whose rows were taken */
    bool stop;
};

static void *shards_read(void *arg)
{
    struct work *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && w->next < w->names->n) {
        if (w->next >= w->written + AHEAD) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        size_t i = w->next++;
        struct job *j = &w->job[i];
        pthread_mutex_unlock(&w->lock);
        j->fd = temporary_file(&j->error);
        j->bad = j->fd < 0 ? -1 : rows_of(w->names->name[i], w->base, j->fd, &j->error);
        pthread_mutex_lock(&w->lock);
        j->done = true;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int rows_copy(int from, int to, const char *name, struct error *e)
{
    char *piece = malloc(PIECE);
    int bad = piece ? 0 : error_memory(e);
    ssize_t n = 0;
    for (off_t at = 0; !bad && (n = pread(from, piece, PIECE, at)) > 0; at += n)
        bad = temporary_write(to, piece, (size_t)n, name, e);
    if (!bad && n < 0)
        bad = error_set(e, STATUS_AGAIN, "cannot read a temporary file of '%s': %s", name, strerror(errno));
    free(piece);
    return bad;
}

/* Rows in the order of the names; ends with the first shard that cannot be read. */
static int rows_take(struct work *w, int fd, struct error *e)
{
    int bad = 0;
    for (size_t i = 0; !bad && i < w->names->n; i++) {
        struct job *j = &w->job[i];
        pthread_mutex_lock(&w->lock);
        while (!j->done)
            pthread_cond_wait(&w->changed, &w->lock);
        w->written = i + 1;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        bad = j->bad ? error_set(e, j->error.status, "%s", j->error.text) : rows_copy(j->fd, fd, w->names->name[i], e);
        if (j->fd >= 0)
            close(j->fd);
        j->fd = -1;
    }
    return bad;
}

static int shards_import(const struct names *names, size_t base, int fd, struct error *e)
{
    struct work w = { .names = names, .base = base, .job = calloc(names->n, sizeof *w.job) };
    pthread_t thread[THREADS];
    size_t n = 0, wanted = names->n < THREADS ? names->n : THREADS;
    if (!w.job)
        return error_memory(e);
    for (size_t i = 0; i < names->n; i++)
        w.job[i].fd = -1;
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    while (n < wanted && pthread_create(&thread[n], NULL, shards_read, &w) == 0)
        n++;
    int bad = n ? rows_take(&w, fd, e) : error_set(e, STATUS_AGAIN, "cannot start a thread");
    pthread_mutex_lock(&w.lock);
    w.stop = true;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    for (size_t i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < names->n; i++)
        if (w.job[i].fd >= 0)
            close(w.job[i].fd);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    free(w.job);
    return bad;
}

int import_shards(const char *name, int fd, struct error *e)
{
    struct names names = { 0 };
    int bad = braces(name, &names, e);
    if (!bad)
        bad = names.n ? shards_import(&names, import_shards_base(name), fd, e) :
              error_set(e, STATUS_BAD, "'%s' names no shard", name);
    for (size_t i = 0; i < names.n; i++)
        free(names.name[i]);
    free(names.name);
    return bad;
}
