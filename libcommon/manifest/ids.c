/* libcommon/manifest/ids.c - see ids.h */
#include "libcommon/manifest/ids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/sys/temporary.h"

enum { RUN = 1 << 20, READ_AHEAD = 4096, SAME_HASH = 64 };      /* entries */

struct entry { uint64_t hash, row; };

struct run {                    /* a sorted part of the file, being merged */
    uint64_t next, end;         /* entries of the file not yet in `ahead` */
    struct entry *ahead;
    size_t at, n;
};

struct ids {
    const char *name;
    int fd;
    struct entry *entry;        /* the run being filled */
    size_t n;
    uint64_t written;           /* entries in the file: whole runs */
};

/* FNV-1a, 64 bits, finished by SplitMix64's mixer.  Whoever makes ids collide on
 * purpose only makes rows be compared. */
static uint64_t hash_of(struct span id)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < id.size; i++)
        h = (h ^ id.data[i]) * 0x100000001b3;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
    h = (h ^ h >> 27) * 0x94d049bb133111eb;
    return h ^ h >> 31;
}

static int by_hash(const void *a, const void *b)
{
    const struct entry *s = a, *t = b;
    if (s->hash != t->hash)
        return s->hash < t->hash ? -1 : 1;
    return (s->row > t->row) - (s->row < t->row);
}

struct ids *ids_open(const char *name, struct error *e)
{
    struct ids *s = calloc(1, sizeof *s);
    if (!s || !(s->entry = malloc(RUN * sizeof *s->entry))) {
        free(s);
        error_memory(e);
        return NULL;
    }
    s->name = name;
    s->fd = -1;
    return s;
}

void ids_close(struct ids *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->entry);
    free(s);
}

static int run_write(struct ids *s, struct error *e)
{
    if (s->fd < 0 && (s->fd = temporary_file(e)) < 0)
        return -1;
    qsort(s->entry, s->n, sizeof *s->entry, by_hash);
    if (temporary_write(s->fd, s->entry, s->n * sizeof *s->entry, s->name, e) < 0)
        return -1;
    s->written += s->n;
    s->n = 0;
    return 0;
}

int ids_add(struct ids *s, struct span id, uint64_t row, struct error *e)
{
    s->entry[s->n++] = (struct entry){ hash_of(id), row };
    return s->n == RUN ? run_write(s, e) : 0;
}

/* --- the sorted entries, one after the other -------------------------------------- */

struct merge {
    int fd;
    size_t n;
    struct run *heap;           /* n runs, none of them empty, the least entry's on top */
};

static int run_fill(int fd, struct run *r, struct error *e)
{
    size_t n = r->end - r->next < READ_AHEAD ? (size_t)(r->end - r->next) : READ_AHEAD;
    size_t bytes = n * sizeof *r->ahead;
    if (pread(fd, r->ahead, bytes, (off_t)(r->next * sizeof *r->ahead)) != (ssize_t)bytes)
        return error_set(e, STATUS_AGAIN, "cannot read a temporary file: %s", strerror(errno));
    r->next += n;
    r->n = n;
    r->at = 0;
    return 0;
}

static bool before(const struct run *a, const struct run *b)
{
    return by_hash(&a->ahead[a->at], &b->ahead[b->at]) < 0;
}

static void heap_sink(struct merge *m, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < m->n; child++)
            if (before(&m->heap[child], &m->heap[least]))
                least = child;
        if (least == i)
            return;
        struct run t = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = t;
        i = least;
    }
}

static int merge_next(struct merge *m, struct entry *to, struct error *e)
{
    if (m->n == 0)
        return 0;
    struct run *r = &m->heap[0];
    *to = r->ahead[r->at++];
    if (r->at == r->n && r->next < r->end && run_fill(m->fd, r, e) < 0)
        return -1;
    if (r->at == r->n) {
        free(r->ahead);
        *r = m->heap[--m->n];
    }
    heap_sink(m, 0);
    return 1;
}

static int merge_open(struct merge *m, struct ids *s, struct error *e)
{
    size_t runs = (size_t)(s->written / RUN) + (s->n > 0);
    *m = (struct merge){ .fd = s->fd, .heap = calloc(runs + 1, sizeof *m->heap) };
    if (!m->heap)
        return error_memory(e);
    for (uint64_t at = 0; at < s->written; at += RUN) {
        struct run *r = &m->heap[m->n];
        *r = (struct run){ .next = at, .end = at + RUN, .ahead = malloc(READ_AHEAD * sizeof *r->ahead) };
        if (!r->ahead)
            return error_memory(e);
        m->n++;
        if (run_fill(s->fd, r, e) < 0)
            return -1;
    }
    if (s->n) {
        qsort(s->entry, s->n, sizeof *s->entry, by_hash);
        m->heap[m->n++] = (struct run){ .ahead = s->entry, .n = s->n };
        s->entry = NULL;        /* the heap frees it */
    }
    for (size_t i = m->n; i-- > 0;)
        heap_sink(m, i);
    return 0;
}

static void merge_close(struct merge *m)
{
    for (size_t i = 0; m->heap && i < m->n; i++)
        free(m->heap[i].ahead);
    free(m->heap);
}

int ids_check(struct ids *s, int (*same)(void *ctx, uint64_t a, uint64_t b, struct error *e), void *ctx, uint64_t *a,
              uint64_t *b, struct error *e)
{
    struct merge m;
    struct entry group[SAME_HASH], next;
    size_t n = 0;
    int r = merge_open(&m, s, e), found = 0;
    while (r == 0 && found == 0 && (r = merge_next(&m, &next, e)) == 1) {
        r = 0;
        if (n && group[0].hash != next.hash)
            n = 0;
        for (size_t i = 0; i < n && found == 0; i++)
            found = same(ctx, *a = group[i].row, *b = next.row, e);
        if (n < SAME_HASH)
            group[n++] = next;
    }
    merge_close(&m);
    return r < 0 ? -1 : found;
}
