/* libcommon/stream/crew/wire.c - see wire.h */
#include "libcommon/stream/crew/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, LITTLE = 4 << 10, SKIP_MIN = 16 << 10, LARGE = 64 << 10 };

void wire_init(struct wire *w, int fd)
{
    *w = (struct wire){ .fd = fd };
    buf_init(&w->in, HEADER_MAX + 2 * CHUNK);
}

void wire_release(struct wire *w)
{
    buf_release(&w->in);
    blob_drop(w->body);
    w->body = NULL;
}

/* What has been read and not used. */
static struct span rest(const struct wire *w) { return span_of(w->in.data + w->at, w->in.size - w->at); }

static enum wire_event body_next(struct wire *w, struct blob **body, struct error *e)
{
    size_t here = rest(w).size, wants = w->body->size - w->have;
    size_t n = here < wants ? here : wants;
    if (n)
        memcpy(w->body->data + w->have, rest(w).data, n);
    w->have += n;
    w->at += n;
    w->used += n;
    if (!w->trusts)
        w->sum = crc32c(w->sum, w->body->data + w->summed, w->have - w->summed);     /* while it is in the cache */
    w->summed = w->have;
    if (w->have < w->body->size)
        return WIRE_MORE;
    if (!w->trusts && w->sum != w->c.c) {
        w->used -= w->c.n;                      /* where it begins */
        error_set(e, STATUS_BAD, "unit %llu: checksum of the body is %08x, its control map says %08x",
                  (unsigned long long)w->c.q, w->sum, w->c.c);
        return WIRE_BAD;
    }
    if (!w->trusts)
        w->crc = crc32c_append(w->crc, w->body->data, w->body->size, w->c.c);
    w->in_body = false;
    w->units++;
    w->samples += w->c.k;
    *body = w->body;
    w->body = NULL;
    return WIRE_UNIT;
}

static enum wire_event control_next(struct wire *w, struct blob **body, struct error *e)
{
    uint64_t need;
    ssize_t size = control_at(rest(w), &w->c, &need, e);
    if (size < 1)
        return size < 0 ? WIRE_BAD : WIRE_MORE;
    struct span map = span_of(rest(w).data, (size_t)size);
    w->at += map.size;
    w->used += map.size;
    w->walk = (struct mp_walk){ 0 };
    if (w->c.type == CONTROL_END) {
        w->inside = false;
        if ((w->trusts || w->c.c == w->crc) && w->c.end.units == w->units && w->c.end.samples == w->samples)
            return WIRE_END;
        error_set(e, STATUS_BAD, "the stream does not match the counts%s at its end", w->trusts ? "" : " and checksum");
        return WIRE_BAD;
    }
    w->crc = crc32c(w->crc, map.data, map.size);
    w->body = blob_new((size_t)w->c.n);
    w->have = w->summed = w->sum = 0;
    w->lately = w->c.n > w->lately ? w->c.n : w->lately - w->lately / 16;
    w->in_body = true;
    if (w->body && w->shadows && w->c.n >= SHADOW_MIN)
        shadow_add(w->shadows, w->body);
    if (w->body)
        return body_next(w, body, e);
    error_set(e, STATUS_AGAIN, "out of memory for a body of %llu bytes", (unsigned long long)w->c.n);
    return WIRE_BAD;
}

static enum wire_event header_next(struct wire *w, struct span *header, struct error *e)
{
    uint64_t need;
    int got = mp_walk_map(&w->walk, rest(w), HEADER_MAX, "the header of a stream", &need, e);
    if (got < 1)
        return got < 0 ? WIRE_BAD : WIRE_MORE;
    *header = span_of(rest(w).data, (size_t)w->walk.at);
    w->at += header->size;
    w->used += header->size;
    w->crc = crc32c(0, header->data, header->size);
    w->units = w->samples = 0;
    w->inside = true;
    return WIRE_HEADER;
}

enum wire_event wire_next(struct wire *w, struct span *header, struct blob **body, struct error *e)
{
    enum wire_event event = w->in_body ? body_next(w, body, e) : w->inside ? control_next(w, body, e) :
                            header_next(w, header, e);
    if (event == WIRE_BAD)
        error_prefix(e, "byte %llu", (unsigned long long)w->used);
    return event;
}

/* Of the n bytes of the body behind `have`, how many are inside of a large value, so that nobody here looks at them. */
static size_t inside(struct wire *w, size_t have, size_t n)
{
    uint64_t need;
    if (!w->trusts || n < SKIP_MIN || mp_walk(&w->walk, span_of(w->body->data, have), &need) != 0 ||
        w->walk.at < have + SKIP_MIN)
        return 0;
    return w->walk.at - have < n ? (size_t)w->walk.at - have : n;
}

/* As readv.  What has a shadow is read as far as the shadow got it. */
static ssize_t body_read(struct wire *w, struct iovec v[2])
{
    size_t n = w->body->shadow ? shadow_tee(w->body, w->fd, w->have, v[0].iov_len) : 0, done = 0;
    if (!n)
        return readv(w->fd, v, 2);
    while (done < n) {
        size_t skip = inside(w, w->have + done, n - done);
        ssize_t got = skip ? (ssize_t)shadow_skip(w->body, w->fd, skip) : 0;
        if (!got)
            got = read(w->fd, (uint8_t *)v[0].iov_base + done, n - done < SKIP_MIN || !w->trusts ? n - done : SKIP_MIN);
        if (got <= 0)
            return done ? (ssize_t)done : got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int wire_fill(struct wire *w, struct error *e)
{
    /* Where large bodies are, little is read beside them: what comes here of one is copied once more. */
    size_t left = rest(w).size, room = w->lately >= LARGE ? LITTLE : CHUNK;
    if (w->at && left)
        memmove(w->in.data, w->in.data + w->at, left);
    w->in.size = left;
    w->at = 0;
    if (buf_reserve(&w->in, room) < 0)
        return error_memory(e);
    size_t rest = w->in_body ? w->body->size - w->have : 0;     /* nothing is left then: straight to where it belongs */
    struct iovec v[2] = { { rest ? w->body->data + w->have : NULL, rest }, { w->in.data + left, room } };
    ssize_t n = rest ? body_read(w, v) : readv(w->fd, v, 2);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 2;
    if (n < 0)
        return error_set(e, error_errno_status(errno), "%s", strerror(errno));
    size_t mine = (size_t)n < rest ? (size_t)n : rest;
    w->have += mine;
    w->used += mine;
    w->in.size += (size_t)n - mine;
    return n > 0;
}
