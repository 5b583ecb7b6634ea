/* libcommon/stream/lp1/wire.c - see wire.h */
#include "libcommon/stream/lp1/wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, COMBINE_MIN = 64 << 10 };

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

/* A whole map at `at`: 1, 0 more is needed, -1 it is none or too large. */
static int map_next(struct wire *w, size_t limit, struct span *map, const char *what, struct error *e)
{
    struct mp_walk walk = { 0 };
    uint64_t need = 0;
    struct span have = span_of(w->in.data + w->at, w->in.size - w->at);
    if (!have.size)
        return 0;
    int got = mp_walk(&walk, have, &need);
    if (got < 0 || need > limit || ((have.data[0] & 0xf0) != 0x80 && have.data[0] != 0xde && have.data[0] != 0xdf))
        return error_set(e, STATUS_BAD, "%s was expected, but this is none", what);
    if (got)
        *map = span_of(have.data, (size_t)walk.at);
    return got;
}

static enum wire_event body_next(struct wire *w, struct blob **body)
{
    size_t here = w->in.size - w->at, wants = w->body->size - w->have;
    size_t n = here < wants ? here : wants;
    if (n)
        memcpy(w->body->data + w->have, w->in.data + w->at, n);
    w->have += n;
    w->at += n;
    if (w->have < w->body->size)
        return WIRE_MORE;
    w->crc = w->c.n < COMBINE_MIN ? crc32c(w->crc, w->body->data, w->body->size) : crc32c_combine(w->crc, w->c.c, w->c.n);
    w->in_body = false;
    w->units++;
    w->samples += w->c.k;
    *body = w->body;
    w->body = NULL;
    return WIRE_UNIT;
}

static enum wire_event control_next(struct wire *w, struct blob **body, struct error *e)
{
    struct span map;
    int got = map_next(w, CONTROL_MAX, &map, "a unit or the end", e);
    if (got < 1)
        return got < 0 ? WIRE_BAD : WIRE_MORE;
    if (control_read(map, &w->c, e) < 0)
        return WIRE_BAD;
    w->at += map.size;
    if (w->c.type == CONTROL_END) {
        w->inside = false;
        if (w->c.c == w->crc && w->c.end.units == w->units && w->c.end.samples == w->samples)
            return WIRE_END;
        error_set(e, STATUS_BAD, "the stream does not match the counts and checksum at its end");
        return WIRE_BAD;
    }
    w->crc = crc32c(w->crc, map.data, map.size);
    w->body = blob_new((size_t)w->c.n);
    w->have = 0;
    w->in_body = true;
    if (w->body)
        return body_next(w, body);
    error_set(e, STATUS_AGAIN, "out of memory for a body of %llu bytes", (unsigned long long)w->c.n);
    return WIRE_BAD;
}

enum wire_event wire_next(struct wire *w, struct span *header, struct blob **body, struct error *e)
{
    if (w->in_body)
        return body_next(w, body);
    if (w->inside)
        return control_next(w, body, e);
    int got = map_next(w, HEADER_MAX, header, "the header of a stream", e);
    if (got < 1)
        return got < 0 ? WIRE_BAD : WIRE_MORE;
    w->at += header->size;
    w->crc = crc32c(0, header->data, header->size);
    w->units = w->samples = 0;
    w->inside = true;
    return WIRE_HEADER;
}

int wire_fill(struct wire *w, struct error *e)
{
    size_t left = w->in.size - w->at;
    if (w->at && left)
        memmove(w->in.data, w->in.data + w->at, left);
    w->in.size = left;
    w->at = 0;
    uint8_t *to;
    size_t room;
    bool direct = w->in_body && !left && w->body->size - w->have >= CHUNK;      /* straight to where it belongs */
    if (direct) {
        to = w->body->data + w->have;
        room = w->body->size - w->have;
    } else {
        if (buf_reserve(&w->in, CHUNK) < 0)
            return error_set(e, STATUS_AGAIN, "out of memory");
        to = w->in.data + left;
        room = CHUNK;
    }
    ssize_t n = read(w->fd, to, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 2;
    if (n < 0)
        return error_set(e, error_errno_status(errno), "%s", strerror(errno));
    if (direct)
        w->have += (size_t)n;
    else
        w->in.size += (size_t)n;
    return n > 0;
}
