/* libcommon/plan/source.c - see source.h */
#include "libcommon/plan/source.h"

#include <string.h>

#include "libcommon/cli/metrics.h"
#include "libcommon/stream/facts.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"


struct run {
    const struct source *source;
    struct source_pool *pool;
    struct stream_out *out;
    struct metrics *metrics;
    uint64_t start, q, pooled;  /* first unit of this run; next to be put; next of the pool */
    int64_t jobs;
    double began, told;
    double fetching;            /* seconds waiting for units to be made */
    uint64_t failed;
};

/* Progress and metrics: about once a second, and at the end. */
static int tell(struct run *r, bool final, struct error *e)
{
    double now = clock_seconds(), seconds = now - r->began;
    if (!final && now - r->told < 1)
        return 0;
    r->told = now;
    const struct stream_end *n = stream_out_end(r->out);
    double waited = stream_out_waited(r->out), rate = seconds > 0 ? (double)n->samples / seconds : 0;
    double left = r->q > r->start ? seconds * (double)(r->source->units - r->q) / (double)(r->q - r->start) : 0;
    const char *state = final ? "done" : waited > seconds / 2 ? "waiting on output" :
                        r->fetching > seconds / 2 ? "waiting on data" : "busy";
    progress_line(final, "%llu of %llu units, %llu samples, %llu failed, %.1f/s, %.0f s left, %s", (unsigned long long)r->q,
                  (unsigned long long)r->source->units, (unsigned long long)n->samples, (unsigned long long)n->errors, rate,
                  final ? 0.0 : left, state);
    struct facts f = { .stage = log_program(), .units_in = n->units, .units = n->units, .samples = n->samples,
                       .errors = n->errors,
                       .window = stream_out_window(r->out), .seconds = seconds, .wait_in = r->fetching, .wait_out = waited };
    return facts_put(r->metrics, &f, e);
}

/* Of errors that this program made; what a replayed stream holds was told when it was made. */
static void failures_tell(struct run *r, const struct unit *u)
{
    for (uint32_t i = 0; i < u->k; i++) {
        const char *own = log_program();
        struct sample_error what;
        if (sample_error(&u->sample[i], &what) && what.stage.size == strlen(own) &&
            !memcmp(what.stage.data, own, what.stage.size))
            failure_tell(r->failed++, sample_id(&u->sample[i]), what.message);
    }
}

/* An output may ask for another unit than the next (a consumer was started anew): the threads begin there. */
static int pool_at(struct run *r, struct error *e)
{
    if (r->pool && r->pooled == r->q)
        return 0;
    source_pool_close(r->pool);
    r->pooled = r->q;
    return (r->pool = source_pool_open(r->source, r->q, r->jobs, e)) ? 0 : -1;
}

/* 0 done, 1 a stop was asked, -1 failed. */
static int units_put(struct run *r, struct error *e)
{
    if (stream_put_header(r->out, r->source->header, e) < 0)
        return -1;
    int more;
    while (!stop_asked() && (more = stream_out_wants(r->out, &r->q, r->source->units, e))) {
        struct unit *u;
        double t = clock_seconds();
        if (more < 0 || pool_at(r, e) < 0 || source_pool_next(r->pool, &u, e) < 0)
            return -1;
        r->pooled++;
        r->fetching += clock_seconds() - t;
        failures_tell(r, u);
        if (stream_put_unit(r->out, u, e) < 0)
            return -1;
        r->q++;
        if (tell(r, false, e) < 0)
            return -1;
    }
    if (stop_asked())
        return 1;
    return stream_put_end(r->out, e) < 0 || tell(r, true, e) < 0 ? -1 : 0;
}

int source_run(const struct source *s, const struct common *c, uint64_t start, int64_t jobs)
{
    struct error e = { 0 }, closing = { 0 };
    struct run r = { .source = s, .start = start, .q = start, .jobs = jobs, .began = clock_seconds() };
    stop_install();
    if ((!(r.metrics = metrics_open(c->metrics, &e)) && e.status) || !(r.out = stream_out_open(c->out, &e))) {
        warn("%s", e.text);
        metrics_close(r.metrics);
        return e.status;
    }
    int done = units_put(&r, &e);
    bool gone = stream_out_gone(r.out);
    source_pool_close(r.pool);
    metrics_close(r.metrics);
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
