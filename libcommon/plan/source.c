/* libcommon/plan/source.c - see source.h */
#include "libcommon/plan/source.h"

#include "libcommon/sys/log.h"
#include "libcommon/sys/metrics.h"
#include "libcommon/sys/stop.h"

struct run {
    const struct source *source;
    struct source_pool *pool;
    struct stream_out *out;
    uint64_t start, q;          /* first unit of this run; next to be put */
    double began, fetching;     /* seconds; waiting for units to be made */
};

static void progress(const struct run *r, int final)
{
    const struct stream_end *n = stream_out_end(r->out);
    double seconds = clock_seconds() - r->began, waited = stream_out_waited(r->out);
    double rate = seconds > 0 ? (double)n->samples / seconds : 0;
    uint64_t made = r->q - r->start;
    double left = made ? seconds * (double)(r->source->units - r->q) / (double)made : 0;
    progress_line(final, "%llu of %llu units, %llu samples, %llu errors, %.0f/s, %.0f s left, waits for %s",
                  (unsigned long long)r->q, (unsigned long long)r->source->units, (unsigned long long)n->samples,
                  (unsigned long long)n->errors, rate, left, waited > r->fetching ? "its reader" : "the data");
}

/* 0 done, 1 the reader left or a stop was asked, -1 failed. */
static int units_put(struct run *r, struct error *e)
{
    if (stream_put_header(r->out, r->source->header, e) < 0)
        return -1;
    while (r->q < r->source->units) {
        if (stop_asked())
            return 1;
        struct unit *u;
        double t = clock_seconds();
        if (source_pool_next(r->pool, &u, e) < 0)
            return -1;
        r->fetching += clock_seconds() - t;
        if (stream_put_unit(r->out, u, e) < 0)
            return -1;
        r->q++;
        progress(r, 0);
    }
    return stream_put_end(r->out, e);
}

static void metrics_put(const struct run *r, const struct common *c)
{
    struct error e = { 0 };
    struct metrics *m = metrics_open(c->metrics, &e);
    if (m) {
        const struct stream_end *n = stream_out_end(r->out);
        metrics_begin(m);
        metrics_str(m, "stage", log_program());
        metrics_int(m, "units", (int64_t)n->units);
        metrics_int(m, "samples", (int64_t)n->samples);
        metrics_int(m, "errors", (int64_t)n->errors);
        metrics_real(m, "seconds", clock_seconds() - r->began);
        metrics_real(m, "wait_in_seconds", r->fetching);
        metrics_real(m, "wait_out_seconds", stream_out_waited(r->out));
        metrics_int(m, "peak_memory", (int64_t)peak_memory_bytes());
        metrics_end(m, &e);
        metrics_close(m);
    }
    if (e.status)
        warn("%s", e.text);
}

int source_run(const struct source *s, const struct common *c, uint64_t start, int64_t jobs)
{
    struct error e = { 0 };
    struct run r = { .source = s, .start = start, .q = start, .began = clock_seconds() };
    stop_install();
    if (!(r.out = stream_out_open(c->out, &e))) {
        warn("%s", e.text);
        return e.status;
    }
    int done = -1;
    if ((r.pool = source_pool_open(s, start, jobs, &e)))
        done = units_put(&r, &e);
    bool gone = stream_out_gone(r.out);
    source_pool_close(r.pool);
    progress(&r, 1);
    metrics_put(&r, c);
    struct error closing = { 0 };
    int closed = stream_out_close(r.out, &closing);
    if (gone || closed == 1)
        return STATUS_OK;
    if (done == 0 && closed < 0) {
        done = -1;
        e = closing;
    }
    if (done < 0)
        warn("%s", e.text);
    return done < 0 ? e.status : done == 1 ? STATUS_AGAIN : STATUS_OK;
}
