/* libcommon/stream/filter.c - see filter.h */
#include "libcommon/cli/metrics.h"
#include "libcommon/stream/end.h"
#include "libcommon/stream/facts.h"
#include "libcommon/stream/filter.h"
#include "libcommon/stream/net/ends.h"
#include "libcommon/stream/net/supervise.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

#include <stdio.h>
#include <string.h>


struct run {
    const struct filter *f;
    struct stream_in *in;
    struct stream_out *out;
    struct metrics *metrics;
    struct unit unit;
    struct header header;       /* as put: with our stage */
    struct stream_end total;    /* of the streams before this one (cat a b) */
    uint64_t units_in, failed_here;
    double began, told;
    double wait_in, wait_out;   /* at the last telling */
};

/* --- what it says of itself ------------------------------------------------------------- */
static struct stream_end counted(const struct run *r)
{
    const struct stream_end *now = stream_out_end(r->out);
    return (struct stream_end){ r->total.units + now->units, r->total.samples + now->samples,
                                r->total.errors + now->errors };
}

static int metrics_tell(struct run *r, double seconds, struct error *e)
{
    struct stream_end n = counted(r);
    struct facts f = { .stage = r->f->stage->name, .units_in = r->units_in, .units = n.units, .samples = n.samples,
                       .errors = n.errors,
                       .window = stream_out_window(r->out), .seconds = seconds, .wait_in = stream_in_waited(r->in),
                       .wait_out = stream_out_waited(r->out) };
    return facts_put(r->metrics, &f, e);
}

/* Who is waited for most, since the last telling. */
static const char *waiting_on(struct run *r, double since)
{
    double in = stream_in_waited(r->in) - r->wait_in, out = stream_out_waited(r->out) - r->wait_out;
    r->wait_in += in;
    r->wait_out += out;
    if (in < 0.5 * since && out < 0.5 * since)
        return "busy";
    return in > out ? "waiting on input" : "waiting on output";
}

static void progress_tell(struct run *r, double seconds, double since, int final)
{
    struct stream_end n = counted(r);
    uint64_t all = header_total(stream_in_header(r->in));
    double rate = seconds > 0 ? (double)n.samples / seconds : 0;
    char of[64] = "", left[64] = "";
    if (all) {
        snprintf(of, sizeof of, " of %llu", (unsigned long long)all);
        double s = rate > 0 && n.samples < all ? (double)(all - n.samples) / rate : 0;
        if (!final && s < 1e7)
            snprintf(left, sizeof left, ", %d:%02d:%02d left", (int)(s / 3600), (int)(s / 60) % 60, (int)s % 60);
    }
    progress_line(final, "%llu%s samples, %llu failed, %.1f/s%s, %s", (unsigned long long)n.samples, of,
                  (unsigned long long)n.errors, rate, left, final ? "done" : waiting_on(r, since));
}

/* About once a second, and at the end. */
static int tell(struct run *r, bool final, struct error *e)
{
    double now = clock_seconds(), since = now - r->told;
    if (!final && since < 1)
        return 0;
    r->told = now;
    progress_tell(r, now - r->began, since, final);
    return metrics_tell(r, now - r->began, e);
}

/* What failed, without the sample's name, which readers of a field put in front: the record has its id. */
static const char *message_of(const struct sample *s, const struct error *why)
{
    struct span id = sample_id(s);
    const char *t = why->text;
    size_t n = sizeof "sample '" - 1;
    if (strncmp(t, "sample '", n) || strncmp(t + n, (const char *)id.data, id.size) || strncmp(t + n + id.size, "': ", 3))
        return t;
    return t + n + id.size + 3;
}

/* --- the loop -------------------------------------------------------------------------------- */
static int header_pass(struct run *r, struct error *e)
{
    const struct header *h = stream_in_header(r->in);
    if (r->f->header && r->f->header(r->f->ctx, h, e) < 0)
        return -1;
    if (header_read(&r->header, span_of(h->map.data, h->map.size), e) < 0 || header_append(&r->header, r->f->stage, e) < 0)
        return -1;
    r->total = counted(r);                  /* the put below starts anew */
    return stream_put_header(r->out, &r->header, e);
}

static int unit_pass(struct run *r, struct error *e)
{
    struct unit *u = &r->unit;
    bool skip = stream_out_skips(r->out, u->q);
    r->units_in++;
    for (uint32_t i = 0; !skip && i < u->k; i++) {
        struct sample *s = &u->sample[i];
        struct error why = { .status = STATUS_BAD, .text = "failed" };
        if (sample_failed(s) || r->f->sample(r->f->ctx, s, u->epoch, &why) == 0)
            continue;
        if (why.status == STATUS_AGAIN) {
            *e = why;
            return -1;
        }
        const char *message = message_of(s, &why);
        failure_tell(r->failed_here++, sample_id(s), span_of(message, strlen(message)));
        sample_fail(s, r->f->stage->name, message);
    }
    return stream_put_unit(r->out, u, e);
}

/* 0 done; -1 with e. */
static int loop(struct run *r, struct error *e)
{
    for (;;) {
        int rc = 0;
        switch (stream_next(r->in, &r->unit, e)) {
        case STREAM_FAILED:
            return -1;
        case STREAM_EOF:
            return stream_out_flush(r->out, e);
        case STREAM_HEADER:
            rc = header_pass(r, e);
            break;
        case STREAM_UNIT:
            rc = unit_pass(r, e);
            break;
        case STREAM_END:
            rc = stream_put_end(r->out, e);
            break;
        }
        if (rc < 0 || tell(r, false, e) < 0)
            return -1;
        if (stop_asked())
            return error_set(e, STATUS_AGAIN, "stopped by a signal after %llu units", (unsigned long long)counted(r).units);
    }
}

static int flush_before_wait(void *ctx, struct error *e)
{
    struct run *r = ctx;
    return stream_out_flush(r->out, e) < 0 || tell(r, false, e) < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------------------------------------- */
static int run_open(struct run *r, const struct common *c, struct error *e)
{
    r->in = stream_in_open(c->in, e);
    if (!r->in)
        return -1;
    r->out = stream_out_open(c->out, e);
    if (!r->out)
        return -1;
    r->metrics = metrics_open(c->metrics, e);
    if (!r->metrics && e->status)
        return -1;
    stream_out_batch(r->out);
    stream_in_before_wait(r->in, flush_before_wait, r);
    return 0;
}

/* Closes the output also after a failure: what was put whole goes out, and the missing end tells the rest. */
static int run_close(struct run *r, int rc, struct error *e)
{
    struct error last;
    bool gone = r->out && stream_out_gone(r->out);
    if (r->in && r->out && !gone && rc == 0 && tell(r, true, e) < 0)
        rc = -1;
    stream_in_close(r->in);
    int closed = stream_out_close(r->out, &last);
    if (closed < 0 && rc == 0) {
        rc = -1;
        *e = last;
    }
    metrics_close(r->metrics);
    unit_release(&r->unit);
    header_release(&r->header);
    return gone || closed == 1 ? 0 : rc;
}

/* The WORKER of what stands between two worlds. */
static int work(void *ctx, const struct common *c)
{
    (void)ctx;
    return worker_supervise_self(c);
}

int filter_run(const struct filter *f, const struct common *c)
{
    struct error e = { .status = STATUS_OK };
    enum ends kind;
    struct run r = { .f = f, .began = clock_seconds() };
    r.told = r.began;
    unit_init(&r.unit);
    header_init(&r.header);
    int rc = ends_choose(c, &kind, &e);
    if (rc == 0 && kind == ENDS_WORKER)
        return worker_supervise_self(c);
    if (rc == 0 && (kind == ENDS_TAIL || kind == ENDS_HUB))
        return ends_serve(kind, c, work, NULL);
    stop_install();
    rc = rc < 0 ? rc : run_open(&r, c, &e);
    if (rc == 0)
        rc = loop(&r, &e);
    rc = run_close(&r, rc, &e);
    if (rc < 0)
        warn("%s", e.text);
    if (r.failed_here)
        note("%llu samples failed here; they travel on as error records", (unsigned long long)r.failed_here);
    return rc < 0 ? e.status : STATUS_OK;
}
