/* libcommon/stream/crew/local.c - see local.h */
#include "libcommon/stream/crew/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcommon/stream/facts.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/pipe.h"
#include "libcommon/stream/crew/wire.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { WINDOW = 8192, COPY_MAX = 32 << 10, COMBINE_MIN = 64 << 10, PENDING = 256 << 10, STOP_SECONDS = 30 };

struct fan_run {
    const struct fan *f;
    const struct common *c;
    struct metrics *metrics;
    struct pipe_end in, out;
    struct wire wire;
    struct shadows shadows;
    struct crew *crew;
    /* drain: what is inside goes out, nothing comes in */
    bool any, inside, hungry, drain, ending, at_end, eof, gone, truncated;
    uint64_t first, taken, put;                         /* of this stream: its first q; units in; units out */
    struct { struct control c; struct blob *body; } ring[WINDOW];      /* results by number */
    uint64_t bytes;                                     /* between in and out, as they came in */
    uint64_t size[WINDOW];                              /* of each input */
    struct buf pending;
    uint32_t crc;
    struct stream_end end, total;
    double began, stopped, told, wait_in, wait_crew, wait_out;
    struct error error;
    bool failed;
};

static int fail(struct fan_run *r, const struct error *e)
{
    if (!r->failed)
        r->error = *e;
    r->failed = true;
    return -1;
}

/* --- output ------------------------------------------------------------------------- */

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

/* What is pending, and body (NULL: none) behind it. */
static int flush(struct fan_run *r, struct blob *body)
{
    struct error e;
    double began = clock_seconds();
    size_t size = r->pending.size + (body ? body->size : 0);
    for (size_t at = 0; at < size && !r->pending.failed;) {
        ssize_t n = some_write(r, body, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r->gone = errno == EPIPE;
            error_set(&e, error_errno_status(errno), "cannot write %s: %s", r->out.name, strerror(errno));
            return fail(r, &e);
        }
        at += (size_t)n;
    }
    r->wait_out += clock_seconds() - began;
    if (r->pending.failed) {
        error_set(&e, STATUS_AGAIN, "out of memory");
        return fail(r, &e);
    }
    buf_clear(&r->pending);
    return 0;
}

static int unit_put(struct fan_run *r, const struct control *c, struct blob *body)
{
    size_t from = r->pending.size;
    int64_t bad = body_failed(blob_span(body), c->k);
    struct error e;
    if (bad < 0) {
        error_set(&e, STATUS_BAD, "unit %llu came back as no list of %llu samples", (unsigned long long)c->q,
                  (unsigned long long)c->k);
        return fail(r, &e);
    }
    control_put(&r->pending, c);
    r->crc = crc32c(r->crc, r->pending.data + from, r->pending.failed ? 0 : r->pending.size - from);
    r->crc = c->n < COMBINE_MIN ? crc32c(r->crc, body->data, body->size) : crc32c_combine(r->crc, c->c, c->n);
    r->end.units++;
    r->end.samples += c->k;
    r->end.errors += (uint64_t)bad;
    if (body->size >= COPY_MAX)
        return flush(r, body);
    buf_append(&r->pending, body->data, body->size);
    return r->pending.size >= PENDING ? flush(r, NULL) : 0;
}

/* Results whose turn has come. */
static int in_order_put(struct fan_run *r)
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

static void on_header(void *ctx, struct blob *header)
{
    struct fan_run *r = ctx;
    buf_append(&r->pending, header->data, header->size);
    r->crc = crc32c(0, header->data, header->size);
    r->end = (struct stream_end){ 0 };
    blob_drop(header);
}

static void on_result(void *ctx, const struct control *c, struct blob *body)
{
    struct fan_run *r = ctx;
    uint64_t at = (c->q - r->first) % WINDOW;
    r->ring[at].c = *c;
    r->ring[at].body = body;
    (void)in_order_put(r);                      /* at once, while it is in the cache; the loop sees r->failed */
}

/* --- input --------------------------------------------------------------------------- */

static int header_take(struct fan_run *r, struct span map)
{
    struct error e;
    struct header h;
    header_init(&h);
    int rc = header_read(&h, map, &e);          /* every part of it is checked */
    header_release(&h);
    if (rc < 0)
        return fail(r, &e);
    r->crew = crew_new(&r->f->pipeline, r->f->copies, &r->f->cpus, r->f->timeout,
                       shadow_fits(r->out.fd) ? &r->shadows : NULL, &(struct crew_out){ r, on_header, on_result }, &e);
    r->any = r->inside = true;
    r->taken = r->put = 0;
    if (!r->crew || crew_header(r->crew, map, clock_seconds(), &e) < 0)
        return fail(r, &e);
    return 0;
}

static int unit_take(struct fan_run *r, struct blob *body)
{
    struct error e;
    const struct control *c = &r->wire.c;
    if (!r->taken)
        r->first = c->q;
    if (c->q != r->first + r->taken) {
        blob_drop(body);
        error_set(&e, STATUS_BAD, "unit %llu comes where %llu was expected", (unsigned long long)c->q,
                  (unsigned long long)(r->first + r->taken));
        return fail(r, &e);
    }
    r->size[r->taken % WINDOW] = c->n;
    r->bytes += c->n;
    r->taken++;
    return crew_give(r->crew, c, body, clock_seconds(), &e) < 0 ? fail(r, &e) : 0;
}

static bool has_room(const struct fan_run *r)
{
    if (r->drain || r->eof || (r->crew && !crew_wants(r->crew)))
        return false;
    return r->taken - r->put < WINDOW && (r->bytes < r->f->budget || r->taken == r->put);
}

/* What has been read, as far as there is room. */
static int input_take(struct fan_run *r)
{
    struct span header;
    struct blob *body;
    struct error e;
    r->hungry = false;
    while (has_room(r)) {
        enum wire_event event = wire_next(&r->wire, &header, &body, &e);
        if (event == WIRE_MORE) {
            r->hungry = true;
            return 0;
        }
        if (event == WIRE_BAD) {
            error_prefix(&e, "%s", r->in.name);
            fail(r, &e);
            r->failed = false;                  /* what came before goes out first */
            r->drain = r->truncated = true;
        } else if (event == WIRE_HEADER && header_take(r, header) < 0) {
            return -1;
        } else if (event == WIRE_UNIT && unit_take(r, body) < 0) {
            return -1;
        } else if (event == WIRE_END) {
            r->drain = r->at_end = true;
        }
    }
    return 0;
}

static void input_ended(struct fan_run *r)
{
    struct stat st;
    r->eof = true;
    if (!r->inside && r->any && r->wire.at == r->wire.in.size)
        return;
    bool file = fstat(r->in.fd, &st) == 0 && S_ISREG(st.st_mode);
    error_set(&r->error, file ? STATUS_BAD : STATUS_AGAIN, "%s is cut off: %s", r->in.name,
              file ? "the file is not complete" : "the stage before it died or was stopped");
    r->drain = r->truncated = true;
}

/* --- the end of a stream ------------------------------------------------------------------ */

static int stream_ended(struct fan_run *r)
{
    if (r->at_end) {
        struct control end = { .type = CONTROL_END, .end = r->end, .c = r->crc };
        control_put(&r->pending, &end);
    }
    r->total.units += r->end.units;
    r->total.samples += r->end.samples;
    r->total.errors += r->end.errors;
    r->end = (struct stream_end){ 0 };
    crew_free(r->crew);
    r->crew = NULL;
    r->inside = r->drain = r->at_end = r->ending = false;
    return flush(r, NULL);
}

/* --- what it says of itself ----------------------------------------------------------------- */

static void tell(struct fan_run *r, bool final)
{
    double now = clock_seconds(), seconds = now - r->began;
    if (!final && now - r->told < 1)
        return;
    r->told = now;
    struct crew_state s = { 0 };
    struct error e = { 0 };
    if (r->crew)
        crew_show(r->crew, &s);
    uint64_t units = r->total.units + r->end.units, samples = r->total.samples + r->end.samples;
    const char *on = r->wait_out >= r->wait_in && r->wait_out >= r->wait_crew ? "its reader" :
                     r->wait_in >= r->wait_crew ? "its input" : "its copies";
    progress_line(final, "%llu samples, %.0f/s, %zu units in %d copies, %zu waiting, waits for %s",
                  (unsigned long long)samples,
                  seconds > 0 ? (double)samples / seconds : 0.0, s.running, s.up, s.waiting, on);
    struct facts f = { .stage = "fan", .units_in = r->total.units + (r->crew ? r->taken : 0), .units = units,
                       .samples = samples,
                       .errors = r->total.errors + r->end.errors, .window = r->taken - r->put, .seconds = seconds,
                           .wait_in = r->wait_in,
                       .wait_out = r->wait_out };
    facts_begin(r->metrics, &f);
    metrics_real(r->metrics, "wait_copies", r->wait_crew);
    metrics_int(r->metrics, "deaths", (int64_t)s.deaths);
    metrics_end(r->metrics, &e);
}

/* --- the loop ---------------------------------------------------------------------------------- */

static int wait_for_events(struct fan_run *r)
{
    static struct pollfd p[2 * CREW_MAX + 2];
    size_t n = 0, first;
    double now = clock_seconds();
    p[n++] = (struct pollfd){ .fd = r->stopped > 0 ? -1 : stop_fd(), .events = POLLIN };
    bool reads = has_room(r) && r->hungry, more = has_room(r) && !r->hungry;      /* more: what was read is not used up */
    if (reads)
        p[n++] = (struct pollfd){ .fd = r->in.fd, .events = POLLIN };
    first = n;
    if (r->crew)
        n += crew_poll(r->crew, p + n);
    double wait = r->crew ? crew_wakes(r->crew, now) : 1;
    int got = poll(p, (nfds_t)n, more ? 0 : (int)((wait < 1 ? wait : 1) * 1000) + 1);
    double waited = clock_seconds() - now;
    if (r->crew && r->taken > r->put)
        r->wait_crew += waited;
    else
        r->wait_in += waited;
    if (got < 0)
        return 0;
    if (r->crew)
        crew_polled(r->crew, p + first, n - first);
    if (!reads || !p[1].revents)
        return 0;
    struct error e;
    int rc = wire_fill(&r->wire, &e);
    if (rc < 0) {
        error_prefix(&e, "cannot read %s", r->in.name);
        return fail(r, &e);
    }
    if (rc == 0)
        input_ended(r);
    return 0;
}

static int loop(struct fan_run *r)
{
    struct error e;
    while (!r->failed) {
        if (input_take(r) < 0)
            return -1;
        if (r->crew && crew_step(r->crew, clock_seconds(), &e) < 0)
            return fail(r, &e);
        if (in_order_put(r) < 0)
            return -1;
        if (r->crew && r->drain && r->put == r->taken && !r->ending) {
            r->ending = true;
            crew_end(r->crew, clock_seconds());
            continue;
        }
        if (r->crew && crew_ended(r->crew)) {
            bool cut = r->truncated;
            if (stream_ended(r) < 0)
                return -1;
            if (cut)
                return fail(r, &r->error);
            continue;
        }
        if ((r->eof || r->drain) && !r->crew)
            return r->truncated ? fail(r, &r->error) : 0;
        if (stop_asked() && !r->truncated) {
            error_set(&r->error, STATUS_AGAIN, "stopped by a signal after %llu units", (unsigned long long)r->put);
            r->drain = r->truncated = r->eof = true;
            r->stopped = clock_seconds();
            continue;
        }
        if (r->stopped > 0 && clock_seconds() - r->stopped > STOP_SECONDS)
            return fail(r, &r->error);
        if (r->pending.size && flush(r, NULL) < 0)
            return -1;
        tell(r, false);
        if (wait_for_events(r) < 0)
            return -1;
    }
    return -1;
}

int fan_local(const struct fan *f, const struct common *c)
{
    struct error e = { 0 };
    struct fan_run *r = calloc(1, sizeof *r);
    if (!r) {
        warn("out of memory");
        return STATUS_AGAIN;
    }
    *r = (struct fan_run){ .f = f, .c = c, .began = clock_seconds() };
    stop_install();
    blob_memory_keep();
    int rc = 0;
    if (pipe_end_open(&r->in, c->in, O_RDONLY, "a stream is binary: pipe one in, or name it with --in", &e) < 0 ||
        pipe_end_open(&r->out, c->out, O_WRONLY | O_CREAT | O_TRUNC,
                      "a stream is binary: pipe it on, or name a file with --out", &e) < 0)
        rc = fail(r, &e);
    if (rc == 0 && !(r->metrics = metrics_open(c->metrics, &e)) && e.status)
        rc = fail(r, &e);
    shadows_init(&r->shadows);
    wire_init(&r->wire, r->in.fd);
    r->wire.shadows = shadow_fits(r->in.fd) ? &r->shadows : NULL;
    buf_init(&r->pending, SIZE_MAX);
    if (rc == 0)
        rc = loop(r);
    tell(r, true);
    if (rc < 0 && !r->gone)
        warn("%s", r->error.text);
    int status = rc < 0 && !r->gone ? r->error.status : STATUS_OK;
    crew_free(r->crew);
    for (size_t i = 0; i < WINDOW; i++)
        blob_drop(r->ring[i].body);
    wire_release(&r->wire);
    shadows_release(&r->shadows);
    buf_release(&r->pending);
    metrics_close(r->metrics);
    free(r);
    return status;
}
