/* libcommon/stream/crew/local_out.c - fan's results, in the order of their units, onto the pipe; see local.h */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcommon/stream/crew/body.h"
#include "libcommon/stream/crew/local_impl.h"
#include "libcommon/sys/clock.h"

enum { COPY_MAX = 32 << 10, PENDING = 256 << 10 };

/* As writev, of what is pending and a body (NULL: none) behind it, of which `at` bytes are written. */
static ssize_t some_write(struct fan_run *r, struct blob *body, size_t at)
{
    size_t first = at < r->pending.size ? at : r->pending.size, second = at - first, text = r->pending.size - first;
    size_t here = body ? shadow_before(body, second) : 0;
    if (!text && !here)
        return shadow_pass(body, r->out.fd, true);
    struct iovec v[2] = { { r->pending.data + first, text }, { body ? body->data + second : NULL, here } };
    return writev(r->out.fd, v, 2);
}

static int write_failed(struct fan_run *r)
{
    struct error e;
    r->gone = errno == EPIPE;
    error_set(&e, error_errno_status(errno), "cannot write %s: %s", r->out.name, strerror(errno));
    return fan_fail(r, &e);
}

int fan_flush(struct fan_run *r, struct blob *body)
{
    struct error e;
    double began = clock_seconds();
    size_t size = r->pending.size + (body ? body->size : 0);
    for (size_t at = 0; at < size && !r->pending.failed;) {
        ssize_t n = some_write(r, body, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_failed(r);
        at += (size_t)n;
    }
    r->wait_out += clock_seconds() - began;
    if (r->pending.failed) {
        error_memory(&e);
        return fan_fail(r, &e);
    }
    buf_clear(&r->pending);
    return 0;
}

static int unit_put(struct fan_run *r, const struct control *c, struct blob *body)
{
    int64_t bad = body_failed(blob_span(body), c->k);
    struct error e;
    if (bad < 0) {
        error_set(&e, STATUS_BAD, "unit %llu came back as no list of %llu samples", (unsigned long long)c->q,
                  (unsigned long long)c->k);
        return fan_fail(r, &e);
    }
    stream_sum_unit(&r->sum, &r->pending, c, body->data, (uint64_t)bad);
    if (body->size >= COPY_MAX)
        return fan_flush(r, body);
    buf_append(&r->pending, body->data, body->size);
    return r->pending.size >= PENDING ? fan_flush(r, NULL) : 0;
}

int fan_put(struct fan_run *r)
{
    for (;;) {
        uint64_t at = r->put % WINDOW;
        if (r->failed)
            return -1;
        if (r->put == r->taken || !r->ring[at].body)
            return 0;
        int rc = unit_put(r, &r->ring[at].c, r->ring[at].body);
        blob_drop(r->ring[at].body);
        r->ring[at].body = NULL;
        r->bytes -= r->size[at];
        r->put++;
        if (rc < 0)
            return -1;
    }
}

void fan_header(void *ctx, struct blob *header)
{
    struct fan_run *r = ctx;
    if (pipe_end_empty(&r->out) < 0)
        write_failed(r);
    buf_append(&r->pending, header->data, header->size);
    stream_sum_header(&r->sum, blob_span(header));
    blob_drop(header);
}

void fan_result(void *ctx, const struct control *c, struct blob *body)
{
    struct fan_run *r = ctx;
    uint64_t at = (c->q - r->first) % WINDOW;
    r->ring[at].c = *c;
    r->ring[at].body = body;
    (void)fan_put(r);                           /* at once, while it is in the cache; the loop sees r->failed */
}

int fan_close(struct fan_run *r)
{
    /* Network file systems tell of a full disk only here. */
    return close(r->out.fd) < 0 && errno != EINTR ? write_failed(r) : 0;
}

int fan_stream_end(struct fan_run *r)
{
    const struct stream_end *end = &r->sum.end;
    if (r->at_end)
        stream_sum_end(&r->sum, &r->pending);
    r->total.units += end->units;
    r->total.samples += end->samples;
    r->total.errors += end->errors;
    r->sum = (struct stream_sum){ 0 };
    crew_free(r->crew);
    r->crew = NULL;
    r->inside = r->drain = r->at_end = r->ending = false;
    return fan_flush(r, NULL);
}
