/* libcommon/stream/crew/local.c - see local.h: units in, and the loop; results go out in local_out.c */
#include "libcommon/stream/crew/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/cli/metrics.h"
#include "libcommon/stream/crew/local_impl.h"
#include "libcommon/stream/facts.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { STOP_SECONDS = 30 };

int fan_fail(struct fan_run *r, const struct error *e)
{
    if (!r->failed)
        r->error = *e;
    r->failed = true;
    return -1;
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
        return fan_fail(r, &e);
    r->crew = crew_new(&r->f->pipeline, r->f->copies, &r->f->cpus, r->f->timeout,
                       shadow_fits(r->out.fd) ? &r->shadows : NULL, &(struct crew_out){ r, fan_header, fan_result }, &e);
    r->any = r->inside = true;
    r->taken = r->put = 0;
    if (!r->crew || crew_header(r->crew, map, clock_seconds(), &e) < 0)
        return fan_fail(r, &e);
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
        return fan_fail(r, &e);
    }
    r->size[r->taken % WINDOW] = c->n;
    r->bytes += c->n;
    r->taken++;
    return crew_give(r->crew, c, body, clock_seconds(), &e) < 0 ? fan_fail(r, &e) : 0;
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
            fan_fail(r, &e);
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
    uint64_t units = r->total.units + r->sum.end.units, samples = r->total.samples + r->sum.end.samples;
    const char *on = r->wait_out >= r->wait_in && r->wait_out >= r->wait_crew ? "its reader" :
                     r->wait_in >= r->wait_crew ? "its input" : "its copies";
    progress_line(final, "%llu samples, %.0f/s, %zu units in %d copies, %zu waiting, waits for %s",
                  (unsigned long long)samples,
                  seconds > 0 ? (double)samples / seconds : 0.0, s.running, s.up, s.waiting, on);
    struct facts f = { .stage = "fan", .units_in = r->total.units + (r->crew ? r->taken : 0), .units = units,
                       .samples = samples, .errors = r->total.errors + r->sum.end.errors, .window = r->taken - r->put,
                       .seconds = seconds, .wait_in = r->wait_in, .wait_out = r->wait_out };
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
        return fan_fail(r, &e);
    }
    if (rc == 0)
        input_ended(r);
    return 0;
}

enum turn { TURN_FAILED = -1, TURN_OVER, TURN_AGAIN, TURN_WAIT };

/* What is due once units came in and went out. */
static enum turn turn_next(struct fan_run *r)
{
    if (r->crew && r->drain && r->put == r->taken && !r->ending) {
        r->ending = true;
        crew_end(r->crew);
        return TURN_AGAIN;
    }
    if (r->crew && crew_ended(r->crew)) {
        bool cut = r->truncated;
        if (fan_stream_end(r) < 0 || (cut && fan_fail(r, &r->error) < 0))
            return TURN_FAILED;
        return TURN_AGAIN;
    }
    if ((r->eof || r->drain) && !r->crew)
        return r->truncated && fan_fail(r, &r->error) < 0 ? TURN_FAILED : TURN_OVER;
    if (stop_asked() && !r->truncated) {
        error_set(&r->error, STATUS_AGAIN, "stopped by a signal after %llu units", (unsigned long long)r->put);
        r->drain = r->truncated = r->eof = true;
        r->stopped = clock_seconds();
        return TURN_AGAIN;
    }
    if (r->stopped > 0 && clock_seconds() - r->stopped > STOP_SECONDS && fan_fail(r, &r->error) < 0)
        return TURN_FAILED;
    return TURN_WAIT;
}

/* 0 all is out; -1 failed. */
static int loop(struct fan_run *r)
{
    struct error e;
    while (!r->failed) {
        if (input_take(r) < 0)
            return -1;
        if (r->crew && crew_step(r->crew, clock_seconds(), &e) < 0)
            return fan_fail(r, &e);
        if (fan_put(r) < 0)
            return -1;
        enum turn turn = turn_next(r);
        if (turn == TURN_AGAIN)
            continue;
        if (turn != TURN_WAIT)
            return turn == TURN_OVER ? 0 : -1;
        if (r->pending.size && fan_flush(r, NULL) < 0)
            return -1;
        tell(r, false);
        if (wait_for_events(r) < 0)
            return -1;
    }
    return -1;
}

static void run_release(struct fan_run *r)
{
    crew_free(r->crew);
    for (size_t i = 0; i < WINDOW; i++)
        blob_drop(r->ring[i].body);
    wire_release(&r->wire);
    shadows_release(&r->shadows);
    buf_release(&r->pending);
    metrics_close(r->metrics);
    free(r);
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
    if (pipe_end_in(&r->in, c->in, &e) < 0 || pipe_end_out(&r->out, c->out, &e) < 0)
        rc = fan_fail(r, &e);
    if (rc == 0 && !(r->metrics = metrics_open(c->metrics, &e)) && e.status)
        rc = fan_fail(r, &e);
    shadows_init(&r->shadows);
    wire_init(&r->wire, r->in.fd);
    r->wire.shadows = shadow_fits(r->in.fd) ? &r->shadows : NULL;
    buf_init(&r->pending, SIZE_MAX);
    if (rc == 0)
        rc = loop(r);
    if (rc == 0)
        rc = fan_close(r);
    tell(r, true);
    if (rc < 0 && !r->gone)
        warn("%s", r->error.text);
    int status = rc < 0 && !r->gone ? r->error.status : STATUS_OK;
    run_release(r);
    return status;
}
