/* libcommon/stream/pipe_in.c - a stream read from a pipe, a socket or a file
 *
 * Bytes are read in large pieces; what is small is parsed where it lies, a large
 * body is read straight to its place.  Every byte is summed once for the end's
 * checksum, bodies' own sums being combined where that is cheaper. */
#include "libcommon/cli/pipe.h"
#include "libcommon/stream/end.h"
#include "libcommon/stream/format/control.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10, WAIT_MS = 200 };

struct pipe_in {
    struct stream_in base;
    int fd;
    bool regular;               /* a file: reads do not wait, and a cut is not worth a retry */
    bool failed;
    bool inside;                /* between a header and its end */
    bool any;                   /* a stream has ended: the next header may be missing */
    struct buf buf;             /* [at, size) is not used yet */
    size_t at;
    uint32_t crc;               /* since the header */
    uint64_t q;                 /* the next one, once base.end.units > 0 */
    struct error error;         /* why it failed, for those who ask again */
};

static struct span rest(const struct pipe_in *p) { return span_of(p->buf.data + p->at, p->buf.size - p->at); }

static void take(struct pipe_in *p, size_t n)
{
    p->at += n;
    p->base.bytes += n;
}

/* --- bytes -------------------------------------------------------------------------------- */
static int stopped(struct pipe_in *p, struct error *e)
{
    return error_set(e, STATUS_AGAIN, "%s: stopped by a signal at byte %llu", p->base.name,
                     (unsigned long long)p->base.bytes);
}

/* Waits until there are bytes (or the end); 0, or -1.  While it waits, whoever wants to be called before is
 * called now and then: it may have something to say, or nobody may want the bytes any more. */
static int wait_readable(struct pipe_in *p, struct error *e)
{
    struct pollfd fds[2] = { { .fd = p->fd, .events = POLLIN }, { .fd = stop_fd(), .events = POLLIN } };
    for (int patience = 0;; patience = p->base.before_wait ? WAIT_MS : -1) {
        if (stream_in_waits(&p->base, e) < 0)
            return -1;
        if (stop_asked())
            return stopped(p, e);
        if (p->regular)
            return 0;
        double began = patience ? clock_seconds() : 0;
        int rc = poll(fds, 2, patience);
        if (patience)
            p->base.waited += clock_seconds() - began;
        if (!stop_asked() && (rc < 0 ? errno != EINTR : rc > 0))
            return 0;                                   /* any other trouble shows in the read */
    }
}

/* Reads at most what iov holds; 0 at the end, -1 failed. */
static ssize_t bytes_read(struct pipe_in *p, struct iovec *iov, int n, struct error *e)
{
    for (;;) {
        if (wait_readable(p, e) < 0)
            return -1;
        double began = p->regular ? clock_seconds() : 0;
        ssize_t got = readv(p->fd, iov, n);
        if (p->regular)                                 /* a disk that is slow shows here only */
            p->base.waited += clock_seconds() - began;
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got < 0 ? error_set(e, error_errno_status(errno), "%s: byte %llu: cannot read: %s", p->base.name,
                                       (unsigned long long)p->base.bytes, strerror(errno))
                           : got;
    }
}

/* Makes room for more bytes behind those in the buffer, at least until `want` are there. */
static int room_make(struct pipe_in *p, size_t want, struct error *e)
{
    if (p->at) {
        p->buf.size -= p->at;
        memmove(p->buf.data, p->buf.data + p->at, p->buf.size);
        p->at = 0;
    }
    size_t more = want > p->buf.size + READ_SIZE ? want - p->buf.size : READ_SIZE;
    if (buf_reserve(&p->buf, more) < 0)
        return error_set(e, STATUS_AGAIN, "%s: out of memory", p->base.name);
    return 0;
}

/* One read into the buffer: 1 more bytes, 0 the end, -1 failed. */
static int fill(struct pipe_in *p, size_t want, struct error *e)
{
    if (room_make(p, want, e) < 0)
        return -1;
    struct iovec iov = { p->buf.data + p->buf.size, p->buf.room - p->buf.size };
    ssize_t got = bytes_read(p, &iov, 1, e);
    if (got > 0)
        p->buf.size += (size_t)got;
    return got > 0 ? 1 : (int)got;
}

/* --- what the bytes are ----------------------------------------------------------------------- */
static int truncated(struct pipe_in *p, const char *where, const char *what, struct error *e)
{
    uint64_t end = p->base.bytes + rest(p).size;
    return error_set(e, p->regular ? STATUS_BAD : STATUS_AGAIN, "%s: truncated at byte %llu, %s %s: %s", p->base.name,
                     (unsigned long long)end, where, what,
                     p->regular ? "the file is not complete" : "the stage before it died or was stopped");
}

/* What comes next is not what belongs there, as e says: where it is. */
static int misplaced(const struct pipe_in *p, struct error *e)
{
    return error_prefix(e, "%s: byte %llu", p->base.name, (unsigned long long)p->base.bytes);
}

/* The next header, whole in the buffer: 1 (its bytes in *map), 0 the end of the input, -1. */
static int header_get(struct pipe_in *p, struct span *map, struct error *e)
{
    struct mp_walk w = { .at = 0 };
    for (;;) {
        uint64_t need;
        int got = mp_walk_map(&w, rest(p), HEADER_MAX, "not a stream: a header", &need, e);
        if (got > 0)
            *map = span_of(rest(p).data, (size_t)w.at);
        if (got)
            return got < 0 ? misplaced(p, e) : got;
        int more = fill(p, (size_t)need, e);
        if (more < 0)
            return -1;
        if (more == 0)
            return rest(p).size ? truncated(p, "inside", "a header", e) : 0;
    }
}

static enum stream_event header_next(struct pipe_in *p, struct error *e)
{
    struct span map;
    int got = header_get(p, &map, e);
    if (got == 0 && p->any)
        return STREAM_EOF;
    if (got == 0)
        truncated(p, "before", "any header", e);
    if (got < 1)
        return STREAM_FAILED;
    if (header_read(&p->base.header, map, e) < 0) {
        misplaced(p, e);
        return STREAM_FAILED;
    }
    p->crc = crc32c(0, map.data, map.size);
    p->base.end = (struct stream_end){ 0, 0, 0 };
    p->inside = true;
    take(p, map.size);
    return STREAM_HEADER;
}

/* The body of n bytes into u->body: what is in the buffer, and then straight from the input. */
static int body_read(struct pipe_in *p, struct unit *u, size_t n, struct error *e)
{
    buf_clear(&u->body);
    uint8_t *to = buf_extend(&u->body, n);
    if (!to && n)
        return error_set(e, STATUS_AGAIN, "%s: out of memory for a body of %zu bytes", p->base.name, n);
    size_t have = rest(p).size < n ? rest(p).size : n;
    if (have)
        memcpy(to, rest(p).data, have);
    take(p, have);
    while (have < n) {
        /* The buffer is empty now: what lies behind the body comes with the same call. */
        p->at = p->buf.size = 0;
        if (room_make(p, 0, e) < 0)
            return -1;
        struct iovec iov[2] = { { to + have, n - have }, { p->buf.data, READ_SIZE } };
        ssize_t got = bytes_read(p, iov, 2, e);
        if (got < 0)
            return -1;
        if (got == 0)
            return truncated(p, "inside", "a body", e);
        size_t mine = (size_t)got < n - have ? (size_t)got : n - have;
        have += mine;
        p->base.bytes += mine;
        p->buf.size = (size_t)got - mine;
    }
    return 0;
}

static enum stream_event data_next(struct pipe_in *p, const struct control *c, uint64_t at, struct unit *u, struct error *e)
{
    if (p->base.end.units && c->q != p->q) {
        error_set(e, STATUS_BAD, "%s: byte %llu: unit %llu where %llu was expected: units are missing or repeated",
                  p->base.name, (unsigned long long)at, (unsigned long long)c->q, (unsigned long long)p->q);
        return STREAM_FAILED;
    }
    uint64_t body_at = p->base.bytes;
    if (body_read(p, u, (size_t)c->n, e) < 0)
        return STREAM_FAILED;
    uint32_t crc = crc32c(0, u->body.data, u->body.size);
    if (crc != c->c)
        error_set(e, STATUS_BAD, "checksum of the body is %08x, its control map says %08x", crc, c->c);
    else if (unit_decode(u, c->k, e) == 0) {
        p->crc = crc32c_append(p->crc, u->body.data, u->body.size, crc);
        u->q = c->q;
        u->epoch = c->e;
        p->q = c->q + 1;
        p->base.end.units++;
        p->base.end.samples += u->k;
        p->base.end.errors += u->failed;
        return STREAM_UNIT;
    }
    error_prefix(e, "%s: byte %llu: unit %llu", p->base.name, (unsigned long long)body_at, (unsigned long long)c->q);
    return STREAM_FAILED;
}

static enum stream_event end_next(struct pipe_in *p, const struct control *c, uint32_t crc, uint64_t at, struct error *e)
{
    const struct stream_end *want = &c->end, *got = &p->base.end;
    if (want->units != got->units || want->samples != got->samples || want->errors != got->errors)
        error_set(e, STATUS_BAD, "the end says %llu units, %llu samples, %llu errors; %llu, %llu, %llu were read",
                  (unsigned long long)want->units, (unsigned long long)want->samples, (unsigned long long)want->errors,
                  (unsigned long long)got->units, (unsigned long long)got->samples, (unsigned long long)got->errors);
    else if (crc != c->c)
        error_set(e, STATUS_BAD, "checksum of the stream is %08x, its end says %08x", crc, c->c);
    else {
        p->inside = false;
        p->any = true;
        return STREAM_END;
    }
    error_prefix(e, "%s: byte %llu", p->base.name, (unsigned long long)at);
    return STREAM_FAILED;
}

/* The next control map, whole in the buffer: its size, or -1. */
static ssize_t control_get(struct pipe_in *p, struct control *c, struct error *e)
{
    for (;;) {
        uint64_t need;
        ssize_t size = control_at(rest(p), c, &need, e);
        if (size)
            return size < 0 ? misplaced(p, e) : size;
        int more = fill(p, (size_t)need, e);
        if (more < 0)
            return -1;
        if (more == 0)
            return rest(p).size ? truncated(p, "inside", "a control map", e)
                                : truncated(p, "before", "the end of the stream", e);
    }
}

static enum stream_event control_next(struct pipe_in *p, struct unit *u, struct error *e)
{
    struct control c;
    uint64_t at = p->base.bytes;
    ssize_t size = control_get(p, &c, e);
    if (size < 0)
        return STREAM_FAILED;
    struct span map = span_of(rest(p).data, (size_t)size);
    uint32_t before = p->crc;
    p->crc = crc32c(p->crc, map.data, map.size);
    take(p, map.size);
    return c.type == CONTROL_DATA ? data_next(p, &c, at, u, e) : end_next(p, &c, before, at, e);
}

/* --- the operations -------------------------------------------------------------------------------- */
static enum stream_event pipe_next(struct stream_in *in, struct unit *u, struct error *e)
{
    struct pipe_in *p = (struct pipe_in *)in;
    if (p->failed) {
        *e = p->error;
        return STREAM_FAILED;
    }
    enum stream_event event = p->inside ? control_next(p, u, e) : header_next(p, e);
    if (event == STREAM_FAILED) {
        p->failed = true;
        p->error = *e;
    }
    return event;
}

static void pipe_close(struct stream_in *in)
{
    struct pipe_in *p = (struct pipe_in *)in;
    if (p->fd > STDERR_FILENO)
        close(p->fd);
    buf_release(&p->buf);
    stream_in_done(in);
    free(p);
}

static const struct stream_in_ops ops = { .next = pipe_next, .close = pipe_close };

struct stream_in *pipe_in_open(const char *spec, struct error *e)
{
    struct pipe_end end;
    if (pipe_end_in(&end, spec, e) < 0)
        return NULL;
    struct pipe_in *p = calloc(1, sizeof *p);
    if (p && stream_in_base(&p->base, &ops, end.name, e) == 0) {
        p->fd = end.fd;
        p->regular = end.regular;
        buf_init(&p->buf, HEADER_MAX + 2 * READ_SIZE);
        return &p->base;
    }
    if (!p)
        error_memory(e);
    free(p);
    pipe_end_close(&end);
    return NULL;
}
