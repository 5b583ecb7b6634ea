/* libcommon/record/part.c - see part.h */
#include "libcommon/record/part.h"

#include <string.h>
#include <sys/mman.h>

enum { GIVE_BACK = 64 << 20, PAGE = 1 << 16 };
static const char magic[8] = { 'P', 'S', 'I', 'N', 'D', 'E', 'X', '1' };

static void put64(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_extend(b, 8);
    for (int i = 0; p && i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

void part_entry_put(struct buf *b, struct part_entry en)
{
    put64(b, en.offset);
    put64(b, en.sample);
}

struct part_entry part_entry_get(const uint8_t *p) { return (struct part_entry){ get64(p), get64(p + 8) }; }

void part_index_head(struct buf *b, uint64_t units, uint64_t samples)
{
    buf_append(b, magic, sizeof magic);
    put64(b, units);
    put64(b, samples);
}

int part_index_check(const uint8_t head[INDEX_HEAD], uint64_t size, uint64_t *units, uint64_t *samples)
{
    *units = get64(head + 8);
    *samples = get64(head + 16);
    if (memcmp(head, magic, sizeof magic) || size < INDEX_HEAD + INDEX_ENTRY || (size - INDEX_HEAD) % INDEX_ENTRY)
        return -1;
    return (size - INDEX_HEAD) / INDEX_ENTRY == *units + 1 ? 0 : -1;
}

/* A long walk must not fill memory with a file's pages. */
static void pages_drop(struct part_walk *w)
{
    if (w->at - w->dropped < GIVE_BACK)
        return;
    uint64_t upto = w->at / PAGE * PAGE;
    madvise((void *)(uintptr_t)(w->data + w->dropped), upto - w->dropped, MADV_DONTNEED);
    w->dropped = upto;
}

/* What has not been walked over. */
static struct span rest(const struct part_walk *w) { return span_of(w->data + w->at, (size_t)(w->size - w->at)); }

static enum part_event bad(const struct part_walk *w, struct error *e, const char *what)
{
    error_set(e, STATUS_BAD, "byte %llu: %s", (unsigned long long)w->at, what);
    return PART_BAD;
}

static enum part_event header_next(struct part_walk *w, struct error *e)
{
    if (w->at == w->size)
        return PART_EOF;
    struct mp_walk walk = { 0 };
    struct error ignored;
    uint64_t need;
    int got = mp_walk_map(&walk, rest(w), HEADER_MAX, "a header", &need, &ignored);
    if (got < 1)
        return bad(w, e, got < 0 ? "no stream begins here" : "it ends inside a header");
    w->header = span_of(rest(w).data, (size_t)walk.at);
    w->start = w->at;
    w->at += w->header.size;
    w->crc = crc32c(0, w->header.data, w->header.size);
    w->inside = true;
    return PART_HEADER;
}

static enum part_event unit_next(struct part_walk *w, struct span map, struct error *e)
{
    if (w->size - w->at - map.size < w->control.n)
        return bad(w, e, "it ends inside a unit");
    w->body = span_of(map.data + map.size, (size_t)w->control.n);
    if (w->check && crc32c(0, w->body.data, w->body.size) != w->control.c)
        return bad(w, e, "a unit whose bytes do not match its checksum");
    w->crc = crc32c(w->crc, map.data, map.size);
    w->crc = crc32c_append(w->crc, w->body.data, w->body.size, w->control.c);
    w->start = w->at;
    w->at += map.size + w->control.n;
    return PART_UNIT;
}

enum part_event part_walk_next(struct part_walk *w, struct error *e)
{
    uint64_t need;
    pages_drop(w);
    if (!w->inside)
        return header_next(w, e);
    ssize_t size = control_at(rest(w), &w->control, &need, e);
    if (size < 0) {
        error_prefix(e, "byte %llu", (unsigned long long)w->at);
        return PART_BAD;
    }
    if (size == 0)
        return bad(w, e, "it ends before the end of its stream");
    struct span map = span_of(rest(w).data, (size_t)size);
    if (w->control.type == CONTROL_DATA)
        return unit_next(w, map, e);
    if (w->control.c != w->crc)
        return bad(w, e, "the stream does not match the checksum at its end");
    w->start = w->at;
    w->at += map.size;
    w->inside = false;
    return PART_END;
}
