/* libcommon/record/writer.c - writes a recording; see recording.h */
#include "libcommon/record/part.h"
#include "libcommon/record/recording.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING = 1 << 20, MAPS = 200 };         /* MAPS: more than a control map and an end take */

struct record_writer {
    char *dir;
    int lock, fd;               /* of the directory's lock; of the part being written, -1 between parts */
    uint64_t part_bytes, bytes; /* of this part, with what is pending */
    unsigned part;              /* its number: so many are complete */
    struct stream_end before, here;     /* of complete parts; of this one */
    uint32_t crc;
    struct header header;       /* the last */
    bool has_header, whole, expect_header;      /* a resumed recording waits to be shown its first header again */
    struct buf pending, index, first;           /* first: header of what is there already */
};

static int cannot(struct error *e, const char *what, const char *path)
{
    int err = errno;
    return error_set(e, error_errno_status(err), "cannot %s '%s': %s", what, path, strerror(err));
}

static void path_of(const struct record_writer *w, char *to, size_t size, unsigned part, const char *kind)
{
    snprintf(to, size, "%s/part-%06u.%s", w->dir, part, kind);
}

/* --- one part ---------------------------------------------------------------------- */

static int pending_write(struct record_writer *w, struct error *e)
{
    if (w->pending.failed || w->index.failed)
        return error_memory(e);
    if (w->fd >= 0 && file_write_all(w->fd, w->pending.data, w->pending.size) < 0)
        return cannot(e, "write to", w->dir);
    buf_clear(&w->pending);
    return 0;
}

static void index_add(struct record_writer *w)
{
    part_entry_put(&w->index, (struct part_entry){ w->bytes, w->here.samples });
}

static int part_begin(struct record_writer *w, struct error *e)
{
    char path[4096];
    path_of(w, path, sizeof path, w->part, "stream.part");
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return cannot(e, "write", path);
    w->here = (struct stream_end){ 0 };
    buf_clear(&w->index);
    buf_append(&w->pending, w->header.map.data, w->header.map.size);
    w->bytes = w->header.map.size;
    w->crc = crc32c(0, w->header.map.data, w->header.map.size);
    return 0;
}

static int index_write(struct record_writer *w, struct error *e)
{
    char path[4096];
    struct buf b;
    path_of(w, path, sizeof path, w->part, "index");
    buf_init(&b, SIZE_MAX);
    part_index_head(&b, w->here.units, w->here.samples);
    buf_append(&b, w->index.data, w->index.size);
    int rc = b.failed ? error_memory(e) : file_replace(path, b.data, b.size, e);
    buf_release(&b);
    return rc;
}

/* The end of this part: index first, so that a part that has its name has its index. */
static int part_end(struct record_writer *w, struct error *e)
{
    char part[4096], path[4096];
    if (w->fd < 0)
        return 0;
    index_add(w);
    struct control end = { .type = CONTROL_END, .end = w->here, .c = w->crc };
    control_put(&w->pending, &end);
    if (pending_write(w, e) < 0)
        return -1;
    path_of(w, part, sizeof part, w->part, "stream.part");
    path_of(w, path, sizeof path, w->part, "stream");
    if (fsync(w->fd) < 0)
        return cannot(e, "write", part);
    close(w->fd);
    w->fd = -1;
    if (index_write(w, e) < 0)
        return -1;
    if (rename(part, path) < 0)
        return cannot(e, "rename", part);
    w->part++;
    w->before.units += w->here.units;
    w->before.samples += w->here.samples;
    w->before.errors += w->here.errors;
    w->here = (struct stream_end){ 0 };
    return file_sync_dir(w->dir, e);
}

/* --- what is there already ------------------------------------------------------------ */

/* A header of it: with the first a stream begins that goes on with it, with the last the next unit is kept. */
static int header_there(struct record_writer *w, struct span map, struct error *e)
{
    if (!w->has_header)
        buf_append(&w->first, map.data, map.size);
    w->has_header = true;
    return w->first.failed ? error_memory(e) : header_read(&w->header, map, e);
}

/* A complete part: its numbers from the index, its errors from its end. */
static int part_count(struct record_writer *w, unsigned part, struct error *e)
{
    char path[4096];
    uint8_t head[INDEX_HEAD];
    uint64_t units, samples;
    struct file_map index = { 0 }, map = { 0 };
    int rc = -1;
    path_of(w, path, sizeof path, part, "index");
    if (file_map_open(path, &index, e) < 0)
        return -1;
    memcpy(head, index.size >= INDEX_HEAD ? index.data : (const uint8_t[INDEX_HEAD]){ 0 }, INDEX_HEAD);
    if (part_index_check(head, index.size, &units, &samples) < 0) {
        error_set(e, STATUS_BAD, "'%s' is no index of a recording", path);
        goto out;
    }
    path_of(w, path, sizeof path, part, "stream");
    if (file_map_open(path, &map, e) < 0)
        goto out;
    struct part_entry last = part_entry_get(index.data + index.size - INDEX_ENTRY);
    struct part_walk k = { .data = map.data, .size = map.size };
    struct control end;
    if (last.offset >= map.size || map.size - last.offset > CONTROL_MAX || part_walk_next(&k, e) != PART_HEADER ||
        control_read(span_of(map.data + last.offset, map.size - last.offset), &end, e) < 0 || end.type != CONTROL_END) {
        error_set(e, STATUS_BAD, "'%s' does not end where its index says", path);
        goto out;
    }
    w->before.units += end.end.units;
    w->before.samples += end.end.samples;
    w->before.errors += end.end.errors;
    rc = header_there(w, k.header, e);
out:
    file_map_close(&map);
    file_map_close(&index);
    return rc;
}

static int unit_errors(struct part_walk *k, struct unit *u, uint64_t *errors, struct error *e)
{
    buf_clear(&u->body);
    buf_append(&u->body, k->body.data, k->body.size);
    u->q = k->control.q;
    if (u->body.failed || unit_decode(u, k->control.k, e) < 0)
        return -1;
    *errors += u->failed;
    return 0;
}

/* A part that was being written: kept up to its last whole unit. */
static int part_recover(struct record_writer *w, struct error *e)
{
    char path[4096];
    struct file_map map;
    struct unit u;
    struct error ends;
    path_of(w, path, sizeof path, w->part, "stream.part");
    if (access(path, F_OK) < 0)
        return 0;
    if (file_map_open(path, &map, e) < 0)
        return -1;
    struct part_walk k = { .data = map.data, .size = map.size, .check = true };
    struct header h;
    header_init(&h);
    unit_init(&u);
    int rc = 0;
    if (part_walk_next(&k, &ends) == PART_HEADER && header_read(&h, k.header, &ends) == 0) {
        uint64_t end = k.at;
        uint32_t crc = k.crc;
        while (part_walk_next(&k, &ends) == PART_UNIT && unit_errors(&k, &u, &w->here.errors, &ends) == 0) {
            w->bytes = k.start;
            index_add(w);
            w->here.units++;
            w->here.samples += k.control.k;
            end = k.at;
            crc = k.crc;
        }
        w->bytes = end;
        w->crc = crc;
        rc = header_there(w, span_of(h.map.data, h.map.size), e);
        w->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (rc == 0 && (w->fd < 0 || ftruncate(w->fd, (off_t)end) < 0 || lseek(w->fd, 0, SEEK_END) < 0))
            rc = cannot(e, "go on with", path);
    }
    header_release(&h);
    unit_release(&u);
    file_map_close(&map);
    return rc;
}

static int lock_take(struct record_writer *w, struct error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", w->dir);
    w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->lock < 0)
        return cannot(e, "write", path);
    if (flock(w->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set(e, STATUS_AGAIN, "another process records into '%s'", w->dir);
    return 0;
}

static int there_read(struct record_writer *w, struct error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/recording.json", w->dir);
    w->whole = access(path, F_OK) == 0;
    for (;; w->part++) {
        path_of(w, path, sizeof path, w->part, "stream");
        if (access(path, F_OK) < 0)
            break;
        if (part_count(w, w->part, e) < 0)
            return -1;
    }
    if (!w->whole && part_recover(w, e) < 0)
        return -1;
    w->expect_header = w->has_header;
    return 0;
}

struct record_writer *record_open(const char *dir, uint64_t part_bytes, struct error *e)
{
    struct record_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->dir = strdup(dir))) {
        free(w);
        error_memory(e);
        return NULL;
    }
    w->lock = w->fd = -1;
    w->part_bytes = part_bytes;
    buf_init(&w->pending, SIZE_MAX);
    buf_init(&w->index, SIZE_MAX);
    buf_init(&w->first, HEADER_MAX);
    header_init(&w->header);
    if (dir_make(dir, e) < 0 || lock_take(w, e) < 0 || there_read(w, e) < 0) {
        record_close(w);
        return NULL;
    }
    return w;
}

/* --- recording -------------------------------------------------------------------------- */

uint64_t record_units(const struct record_writer *w) { return w->before.units + w->here.units; }
bool record_is_whole(const struct record_writer *w) { return w->whole; }
struct span record_run(const struct record_writer *w) { return w->has_header ? header_run(&w->header) : (struct span){ 0 }; }

struct stream_end record_total(const struct record_writer *w)
{
    return (struct stream_end){ w->before.units + w->here.units, w->before.samples + w->here.samples,
                                w->before.errors + w->here.errors };
}

int record_header(struct record_writer *w, const struct header *h, struct error *e)
{
    if (w->expect_header) {
        bool told = false;
        w->expect_header = false;
        if (!headers_agree(span_of(w->first.data, w->first.size), span_of(h->map.data, h->map.size), &told))
            return error_set(e, STATUS_BAD, "'%s' holds another stream (its header differs): name another directory, or "
                                            "remove it", w->dir);
        return 0;
    }
    if (part_end(w, e) < 0)
        return -1;
    w->has_header = true;
    if (header_read(&w->header, span_of(h->map.data, h->map.size), e) < 0)
        return -1;
    return part_begin(w, e);
}

int record_unit(struct record_writer *w, const struct unit *u, struct error *e)
{
    if (w->fd >= 0 && w->here.units && w->bytes + u->body.size + MAPS > w->part_bytes && part_end(w, e) < 0)
        return -1;
    if (w->fd < 0 && part_begin(w, e) < 0)
        return -1;
    struct control c = { .type = CONTROL_DATA, .q = u->q, .e = u->epoch, .k = u->k, .n = u->body.size,
                         .c = crc32c(0, u->body.data, u->body.size) };
    size_t from = w->pending.size;
    index_add(w);
    control_put(&w->pending, &c);
    if (!w->pending.failed)
        w->crc = crc32c(w->crc, w->pending.data + from, w->pending.size - from);
    w->crc = crc32c_append(w->crc, u->body.data, u->body.size, c.c);
    w->bytes += w->pending.size - from + u->body.size;
    buf_append(&w->pending, u->body.data, u->body.size);
    w->here.units++;
    w->here.samples += u->k;
    w->here.errors += u->failed;
    return w->pending.size >= PENDING ? pending_write(w, e) : 0;
}

int record_sync(struct record_writer *w, struct error *e)
{
    if (w->fd < 0)
        return 0;
    if (pending_write(w, e) < 0)
        return -1;
    return fsync(w->fd) < 0 ? cannot(e, "write to", w->dir) : 0;
}

int record_finish(struct record_writer *w, struct error *e)
{
    char path[4096];
    struct buf b;
    if (part_end(w, e) < 0)
        return -1;
    struct stream_end n = record_total(w);
    snprintf(path, sizeof path, "%s/recording.json", w->dir);
    buf_init(&b, 4096);
    buf_printf(&b, "{\"parts\": %u, \"units\": %llu, \"samples\": %llu, \"errors\": %llu}\n", w->part,
               (unsigned long long)n.units, (unsigned long long)n.samples, (unsigned long long)n.errors);
    int rc = file_replace(path, b.data, b.size, e);
    buf_release(&b);
    w->whole = rc == 0;
    return rc;
}

void record_close(struct record_writer *w)
{
    struct error ignored;
    if (!w)
        return;
    if (w->fd >= 0) {
        if (pending_write(w, &ignored) < 0)
            debug("%s", ignored.text);
        close(w->fd);
    }
    if (w->lock >= 0)
        close(w->lock);
    buf_release(&w->pending);
    buf_release(&w->index);
    buf_release(&w->first);
    header_release(&w->header);
    free(w->dir);
    free(w);
}
