/* libcommon/stream/pipe_out.c - a stream written to a pipe, a socket or a file
 *
 * Small units gather in a buffer until a flush; a large one leaves at once, by
 * one writev of what waited before it and its pieces where they lie. */
#include "libcommon/cli/pipe.h"
#include "libcommon/stream/end.h"
#include "libcommon/stream/format/control.h"
#include "libcommon/stream/format/unit.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PENDING_MAX = 128 << 10, COPY_MAX = 32 << 10, VECTORS = 64 };

struct pipe_out {
    struct stream_out base;
    struct pipe_end end;
    bool failed;
    uint32_t crc;               /* since the header */
    struct buf pending;
    struct gather gather;
    struct error error;
};

static int pipe_failed(struct pipe_out *p, int err, struct error *e)
{
    p->failed = true;
    p->base.gone = err == EPIPE;
    error_set(&p->error, error_errno_status(err), "cannot write %s: %s", p->base.name, strerror(err));
    *e = p->error;
    return -1;
}

static int writable_wait(struct pipe_out *p, struct iovec *iov, int n, ssize_t *done)
{
    double began = clock_seconds();
    do {
        *done = writev(p->end.fd, iov, n);
        if (*done < 0 && errno == EAGAIN)               /* someone made it non-blocking */
            poll(&(struct pollfd){ .fd = p->end.fd, .events = POLLOUT }, 1, -1);
    } while (*done < 0 && (errno == EINTR || errno == EAGAIN));
    int err = errno;
    p->base.waited += clock_seconds() - began;
    errno = err;
    return *done < 0 ? -1 : 0;
}

/* Writes all of iov, which it changes. */
static int vectors_write(struct pipe_out *p, struct iovec *iov, int n, struct error *e)
{
    if (p->failed) {
        *e = p->error;
        return -1;
    }
    while (n) {
        if (!iov->iov_len) {
            iov++;
            n--;
            continue;
        }
        ssize_t done;
        if (writable_wait(p, iov, n, &done) < 0)
            return pipe_failed(p, errno, e);
        for (size_t left = (size_t)done; left;) {
            size_t part = left < iov->iov_len ? left : iov->iov_len;
            iov->iov_base = (uint8_t *)iov->iov_base + part;
            iov->iov_len -= part;
            left -= part;
            if (!iov->iov_len) {
                iov++;
                n--;
            }
        }
    }
    return 0;
}

static struct iovec vector(struct span s) { return (struct iovec){ (void *)(uintptr_t)s.data, s.size }; }

static int pipe_flush(struct stream_out *out, struct error *e)
{
    struct pipe_out *p = (struct pipe_out *)out;
    struct iovec iov = { p->pending.data, p->pending.size };
    if (p->pending.failed)
        return pipe_failed(p, ENOMEM, e);
    int rc = vectors_write(p, &iov, 1, e);
    buf_clear(&p->pending);
    return rc;
}

/* Writes what is pending, then the body where it lies. */
static int gather_write(struct pipe_out *p, struct error *e)
{
    struct iovec iov[VECTORS];
    int n = 0;
    iov[n++] = vector(span_of(p->pending.data, p->pending.size));
    for (size_t i = 0; i < 2 * p->gather.n + 1; i++) {
        iov[n++] = vector(gather_span(&p->gather, i));
        if (n == VECTORS) {
            if (vectors_write(p, iov, n, e) < 0)
                return -1;
            n = 0;
        }
    }
    int rc = vectors_write(p, iov, n, e);
    buf_clear(&p->pending);
    return rc;
}

static int pipe_put_header(struct stream_out *out, const struct header *h, struct error *e)
{
    struct pipe_out *p = (struct pipe_out *)out;
    if (pipe_end_empty(&p->end) < 0)
        return pipe_failed(p, errno, e);
    p->crc = crc32c(0, h->map.data, h->map.size);
    buf_append(&p->pending, h->map.data, h->map.size);
    return p->pending.failed ? pipe_failed(p, ENOMEM, e) : 0;
}

static void control_add(struct pipe_out *p, const struct control *c)
{
    size_t from = p->pending.size;
    control_put(&p->pending, c);
    if (!p->pending.failed)
        p->crc = crc32c(p->crc, p->pending.data + from, p->pending.size - from);
}

static int pipe_put_unit(struct stream_out *out, struct unit *u, struct error *e)
{
    struct pipe_out *p = (struct pipe_out *)out;
    struct gather *g = &p->gather;
    if (unit_fit(u, g, log_program(), e) < 0)
        return -1;
    struct control c = { .type = CONTROL_DATA, .q = u->q, .e = u->epoch, .k = u->k, .n = g->size, .c = gather_crc(g) };
    control_add(p, &c);
    if (g->size >= COPY_MAX) {
        p->crc = crc32c_combine(p->crc, c.c, g->size);
        return p->pending.failed ? pipe_failed(p, ENOMEM, e) : gather_write(p, e);
    }
    size_t from = p->pending.size;
    for (size_t i = 0; i < 2 * g->n + 1; i++) {
        struct span s = gather_span(g, i);
        buf_append(&p->pending, s.data, s.size);
    }
    if (p->pending.failed)
        return pipe_failed(p, ENOMEM, e);
    p->crc = crc32c_append(p->crc, p->pending.data + from, p->pending.size - from, c.c);
    return p->pending.size >= PENDING_MAX ? pipe_flush(out, e) : 0;
}

static int pipe_put_end(struct stream_out *out, struct error *e)
{
    struct pipe_out *p = (struct pipe_out *)out;
    struct control c = { .type = CONTROL_END, .end = out->end, .c = p->crc };
    control_put(&p->pending, &c);
    return p->pending.failed ? pipe_failed(p, ENOMEM, e) : 0;
}

static int pipe_close(struct stream_out *out, struct error *e)
{
    struct pipe_out *p = (struct pipe_out *)out;
    int rc = pipe_flush(out, e);
    /* Network file systems tell of a full disk only here. */
    if (close(p->end.fd) < 0 && rc == 0 && errno != EINTR)
        rc = pipe_failed(p, errno, e);
    if (rc < 0 && out->gone)
        rc = 1;
    buf_release(&p->pending);
    gather_release(&p->gather);
    stream_out_done(out);
    free(p);
    return rc;
}

static const struct stream_out_ops ops = { .put_header = pipe_put_header, .put_unit = pipe_put_unit, .put_end = pipe_put_end,
                                           .flush = pipe_flush, .close = pipe_close };

struct stream_out *pipe_out_open(const char *spec, struct error *e)
{
    struct pipe_end end;
    if (pipe_end_out(&end, spec, e) < 0)
        return NULL;
    struct pipe_out *p = calloc(1, sizeof *p);
    if (p && stream_out_base(&p->base, &ops, end.name, e) == 0) {
        p->end = end;
        buf_init(&p->pending, SIZE_MAX);
        gather_init(&p->gather);
        return &p->base;
    }
    if (!p)
        error_memory(e);
    free(p);
    pipe_end_close(&end);
    return NULL;
}
