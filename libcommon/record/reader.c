/* libcommon/record/reader.c - reads a recording, or plain stream files, unit by unit; see recording.h
 *
 * Nothing grows with the number of units but files: the index is read where it
 * lies, 32 bytes a unit that is asked for. */
#include "libcommon/record/part.h"
#include "libcommon/record/recording.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEAR = 4096, AHEAD = 32 << 10 };       /* bytes; AHEAD: when units are read one after the other */

struct part {
    uint64_t id;                /* of all that this process opened */
    char *path;
    int fd, index;              /* of the stream; of its entries */
    off_t entries;              /* where they begin in that file */
    uint64_t unit, sample;      /* of the recording, that it begins with */
    uint64_t units, samples;
};

struct recording {
    struct part *part;
    size_t n, room;
    uint64_t units, samples, streams, first_q;
    struct header header;
    bool told_mixture;
};

static int cannot(struct error *e, const char *what, const char *path)
{
    int err = errno;
    return error_set(e, error_errno_status(err), "cannot %s '%s': %s", what, path, strerror(err));
}

/* Exactly n bytes. */
static int bytes_at(int fd, void *to, size_t n, uint64_t offset, const char *path, struct error *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (uint8_t *)to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot(e, "read", path);
        if (got == 0)
            return error_set(e, STATUS_BAD, "'%s' is shorter than its index says", path);
        done += (size_t)got;
    }
    return 0;
}

/* --- opening -------------------------------------------------------------------------- */

/* Two headers may differ in run, samples and epochs, but not in how the data was made. */
static bool same_stages(const struct header *a, const struct header *b, bool *told)
{
    struct span x, y;
    return header_stages(a, &x) && header_stages(b, &y) && headers_agree(x, y, told);
}

static int header_meet(struct recording *r, struct span map, const char *path, struct error *e)
{
    struct header h;
    header_init(&h);
    if (header_read(&h, map, e) < 0) {
        header_release(&h);
        return error_prefix(e, "'%s'", path);
    }
    bool again = r->streams && r->header.map.size == h.map.size && !memcmp(r->header.map.data, h.map.data, h.map.size);
    if (r->streams && !again && !same_stages(&r->header, &h, &r->told_mixture)) {
        header_release(&h);
        return error_set(e, STATUS_BAD, "'%s' was made by other stages or settings than the files before it", path);
    }
    if (!r->streams) {
        r->header = h;
        r->streams = 1;
        return 0;
    }
    r->streams += !again;
    header_release(&h);
    return 0;
}

static struct part *part_add(struct recording *r, const char *path, struct error *e)
{
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 8;
        struct part *p = realloc(r->part, room * sizeof *p);
        if (!p)
            return error_memory(e), NULL;
        r->part = p;
        r->room = room;
    }
    struct part *p = &r->part[r->n];
    static _Atomic uint64_t ids;
    *p = (struct part){ .id = ++ids, .path = strdup(path), .fd = -1, .index = -1, .unit = r->units, .sample = r->samples };
    if (!p->path)
        return error_memory(e), NULL;
    r->n++;
    p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (p->fd < 0)
        return cannot(e, "read", path), NULL;
    return p;
}

static int index_flush(struct part *p, struct buf *b, struct error *e)
{
    if (b->failed)
        return error_memory(e);
    if (temporary_write(p->index, b->data, b->size, p->path, e) < 0)
        return -1;
    buf_clear(b);
    return 0;
}

/* Walks the whole file; its index goes to a temporary file without a name. */
static int plain_walk(struct recording *r, struct part *p, const struct file_map *map, struct buf *b, struct error *e)
{
    struct part_walk k = { .data = map->data, .size = map->size };
    for (enum part_event event; (event = part_walk_next(&k, e)) != PART_EOF;) {
        if (event == PART_BAD)
            return error_prefix(e, "'%s'", p->path);
        if (event == PART_HEADER && header_meet(r, k.header, p->path, e) < 0)
            return -1;
        if (event != PART_UNIT)
            continue;
        if (!r->units && !p->units)
            r->first_q = k.control.q;
        part_entry_put(b, (struct part_entry){ k.start, p->samples });
        p->units++;
        p->samples += k.control.k;
        if (b->size >= 1 << 20 && index_flush(p, b, e) < 0)
            return -1;
    }
    part_entry_put(b, (struct part_entry){ map->size, p->samples });
    return index_flush(p, b, e);
}

static int plain_open(struct recording *r, const char *path, struct error *e)
{
    struct file_map map;
    struct buf b;
    struct part *p = part_add(r, path, e);
    if (!p || file_map_open(path, &map, e) < 0)
        return -1;
    buf_init(&b, SIZE_MAX);
    p->index = temporary_file(e);
    int rc = p->index < 0 ? -1 : plain_walk(r, p, &map, &b, e);
    buf_release(&b);
    file_map_close(&map);
    return rc;
}

static int indexed_open(struct recording *r, const char *stream, const char *index, struct error *e)
{
    uint8_t head[INDEX_HEAD];
    struct stat st;
    struct part *p = part_add(r, stream, e);
    if (!p)
        return -1;
    p->index = open(index, O_RDONLY | O_CLOEXEC);
    if (p->index < 0 || fstat(p->index, &st) < 0)
        return cannot(e, "read", index);
    p->entries = INDEX_HEAD;
    if (st.st_size < INDEX_HEAD || bytes_at(p->index, head, sizeof head, 0, index, e) < 0 ||
        part_index_check(head, (uint64_t)st.st_size, &p->units, &p->samples) < 0)
        return error_set(e, STATUS_BAD, "'%s' is no index of a recording", index);
    struct file_map map;
    if (file_map_open(stream, &map, e) < 0)
        return -1;
    struct part_walk k = { .data = map.data, .size = map.size };
    enum part_event first = part_walk_next(&k, e);
    int rc = first == PART_HEADER ? header_meet(r, k.header, stream, e)
             : first == PART_EOF  ? error_set(e, STATUS_BAD, "'%s' is empty, but has an index", stream)
                                  : error_prefix(e, "'%s'", stream);
    if (rc == 0 && !r->units && part_walk_next(&k, e) == PART_UNIT)
        r->first_q = k.control.q;
    file_map_close(&map);
    return rc;
}

static int directory_open(struct recording *r, const char *dir, struct error *e)
{
    char stream[4096], index[4096];
    snprintf(stream, sizeof stream, "%s/recording.json", dir);
    if (access(stream, F_OK) < 0)
        return error_set(e, STATUS_BAD, "'%s' is no finished recording (there is no recording.json): let record "
                                        "finish it first", dir);
    for (unsigned i = 0;; i++) {
        snprintf(stream, sizeof stream, "%s/part-%06u.stream", dir, i);
        snprintf(index, sizeof index, "%s/part-%06u.index", dir, i);
        if (access(stream, F_OK) < 0)
            return i ? 0 : error_set(e, STATUS_BAD, "'%s' holds no part", dir);
        if (indexed_open(r, stream, index, e) < 0)
            return -1;
        r->units += r->part[r->n - 1].units;
        r->samples += r->part[r->n - 1].samples;
    }
}

struct recording *recording_open(char *const *path, size_t n, struct error *e)
{
    struct recording *r = calloc(1, sizeof *r);
    if (!r) {
        error_memory(e);
        return NULL;
    }
    header_init(&r->header);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        int rc = 0;
        if (stat(path[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            rc = directory_open(r, path[i], e);
        } else if ((rc = plain_open(r, path[i], e)) == 0) {
            r->units += r->part[r->n - 1].units;
            r->samples += r->part[r->n - 1].samples;
        }
        if (rc < 0) {
            recording_close(r);
            return NULL;
        }
    }
    if (!r->streams) {
        error_set(e, STATUS_BAD, "'%s' holds no stream", path[0]);
        recording_close(r);
        return NULL;
    }
    return r;
}

void recording_close(struct recording *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        if (r->part[i].fd >= 0)
            close(r->part[i].fd);
        if (r->part[i].index >= 0)
            close(r->part[i].index);
        free(r->part[i].path);
    }
    header_release(&r->header);
    free(r->part);
    free(r);
}

const struct header *recording_header(const struct recording *r) { return &r->header; }
uint64_t recording_streams(const struct recording *r) { return r->streams; }
uint64_t recording_units(const struct recording *r) { return r->units; }
uint64_t recording_samples(const struct recording *r) { return r->samples; }
uint64_t recording_first_q(const struct recording *r) { return r->first_q; }

/* --- units ------------------------------------------------------------------------------- */

/* The part that holds the i-th unit (or sample); empty parts hold none. */
static const struct part *part_of(const struct recording *r, uint64_t i, bool sample)
{
    size_t lo = 0, hi = r->n;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if ((sample ? r->part[mid].sample : r->part[mid].unit) <= i)
            lo = mid;
        else
            hi = mid;
    }
    return &r->part[lo];
}

/* What a thread has read last of a stream and of its index: small units need no call each. */
static _Thread_local struct window {
    uint64_t part, offset;
    size_t size;
    uint8_t bytes[AHEAD];
} units, entries;

/* At least n bytes at `offset`, fewer only at the file's end; *here of them, valid until the next call.  In a row,
 * more at a time. */
static const uint8_t *window_at(struct window *w, const struct part *p, int fd, uint64_t offset, size_t n, size_t *here,
                                struct error *e)
{
    bool behind = w->part == p->id && offset >= w->offset && offset <= w->offset + w->size + AHEAD;
    if (!behind || offset + n > w->offset + w->size) {
        ssize_t got;
        w->part = 0;
        do
            got = pread(fd, w->bytes, behind ? AHEAD : n, (off_t)offset);
        while (got < 0 && errno == EINTR);
        if (got < 0) {
            cannot(e, "read", p->path);
            return NULL;
        }
        w->part = p->id;
        w->offset = offset;
        w->size = (size_t)got;
    }
    *here = (size_t)(w->offset + w->size - offset);
    return w->bytes + (offset - w->offset);
}

/* Of unit i and what follows it: there is always one entry more than units. */
static int entries_read(const struct part *p, uint64_t i, struct part_entry en[2], struct error *e)
{
    size_t here;
    const uint8_t *raw = window_at(&entries, p, p->index, (uint64_t)p->entries + i * INDEX_ENTRY, 2 * INDEX_ENTRY, &here, e);
    if (!raw)
        return -1;
    if (here < 2 * INDEX_ENTRY)
        return error_set(e, STATUS_BAD, "'%s' is shorter than its index says", p->path);
    en[0] = part_entry_get(raw);
    en[1] = part_entry_get(raw + INDEX_ENTRY);
    return 0;
}

static int index_wrong(const struct part *p, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s' is not as its index says: one of them is damaged; replay the .stream files "
                                    "by name to do without",
                     p->path);
}

int recording_unit(const struct recording *r, uint64_t i, struct unit *u, struct error *e)
{
    const struct part *p = part_of(r, i, false);
    struct part_entry en[2];
    const uint8_t *look;
    uint64_t need;
    struct control c;
    size_t got;
    if (entries_read(p, i - p->unit, en, e) < 0 || !(look = window_at(&units, p, p->fd, en[0].offset, NEAR, &got, e)))
        return -1;
    ssize_t size = control_at(span_of(look, got), &c, &need, e);
    size_t n = (size_t)size;
    if (size < 1 || c.type != CONTROL_DATA)
        return error_set(e, STATUS_BAD, "'%s' has no unit at byte %llu, where its index says", p->path,
                         (unsigned long long)en[0].offset);
    uint64_t end = en[0].offset + n + c.n;
    if (en[1].sample - en[0].sample != c.k || (p->entries && en[1].offset != end))
        return index_wrong(p, e);
    unit_begin(u, c.q, c.e);
    buf_clear(&u->body);
    uint8_t *to = buf_extend(&u->body, (size_t)c.n);
    if (!to && c.n)
        return error_memory(e);
    size_t here = got - n < c.n ? got - n : (size_t)c.n;
    if (here)
        memcpy(to, look + n, here);
    if (c.n > here && bytes_at(p->fd, to + here, (size_t)c.n - here, en[0].offset + n + here, p->path, e) < 0)
        return -1;
    if (crc32c(0, u->body.data, u->body.size) != c.c)
        return error_set(e, STATUS_BAD, "'%s': unit %llu does not match its checksum", p->path, (unsigned long long)c.q);
    return unit_decode(u, c.k, e);
}

int recording_find(const struct recording *r, uint64_t i, uint64_t *unit, uint64_t *at, struct error *e)
{
    const struct part *p = part_of(r, i, true);
    uint64_t lo = 0, hi = p->units, want = i - p->sample;
    struct part_entry en[2] = { { 0 } };
    if (r->units == r->samples && want < p->units) {        /* one sample a unit, mostly: then it needs no search */
        if (entries_read(p, want, en, e) < 0)
            return -1;
        if (en[0].sample == want && en[1].sample == want + 1) {
            *unit = p->unit + want;
            *at = 0;
            return 0;
        }
    }
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (entries_read(p, mid, en, e) < 0)
            return -1;
        if (en[0].sample <= want)
            lo = mid;
        else
            hi = mid;
    }
    if (entries_read(p, lo, en, e) < 0)
        return -1;
    if (want < en[0].sample || want >= en[1].sample)
        return index_wrong(p, e);
    *unit = p->unit + lo;
    *at = want - en[0].sample;
    return 0;
}
