/* cmd/record.c - writes a stream to files of bounded size, with an index, so that replay can begin anywhere
 *
 * What a killed record left is gone on with: units that are kept already are
 * read and dropped.  It is the end of a stream, so it judges --max-errors. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/shared/cli/max_errors.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/record/recording.h"
#include "libcommon/stream/end.h"
#include "libcommon/stream/facts.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

#define SYNC_SECONDS 5.0

static uint64_t part_size = 1ull << 30;
static const char *max_errors = MAX_ERRORS_DEFAULT;
static const char *head;
static bool next;

static const struct opt options[] = {
    { OPT_SIZE, .name = "part-size", .value = &part_size, .arg = "BYTES", .min = 1, .max = 1e15,
      .help = "size at which a file is closed and another begun" },
    { OPT_STRING, .name = "max-errors", .value = &max_errors, .arg = "N|P%",
      .help = "failed records that are still a success (at least 10 with P%)" },
    { OPT_STRING, .name = "head", .value = &head, .arg = "ENDPOINT",
      .help = "where the source is, if --in is an endpoint" },
    { OPT_FLAG, .name = "next", .value = &next, .help = "only print how many units DIR holds: the source's --start" },
    { .name = NULL },
};
static const struct program program = {
    .name = "record", .operands = "DIR", .min_operands = 1, .max_operands = 1, .opts = options,
    .summary = "Reads a stream and keeps it in DIR, for replay",
};

struct run {
    struct stream_in *in;
    struct record_writer *to;
    struct unit unit;
    const char *dir;
    uint64_t at;                /* where the next unit stands in the whole input */
    uint64_t streams, units_in, dropped;
    struct metrics *metrics;
    double began, synced, told, syncing;
};

/* The line for people, and about once a second the one for machines. */
static int tell(struct run *r, bool final, struct error *e)
{
    struct stream_end n = record_total(r->to);
    double now = clock_seconds(), seconds = now - r->began, waited = stream_in_waited(r->in);
    progress_line(final, "%llu units, %llu samples, %llu errors kept, %llu were there; %.0f %% of the time waiting on input",
                  (unsigned long long)n.units, (unsigned long long)n.samples, (unsigned long long)n.errors,
                  (unsigned long long)r->dropped, seconds > 0 ? 100 * waited / seconds : 0.0);
    if (!final && now - r->told < 1)
        return 0;
    r->told = now;
    struct facts f = { .stage = "record", .units_in = r->units_in, .units = n.units, .samples = n.samples,
                       .errors = n.errors, .seconds = seconds, .wait_in = waited, .wait_out = r->syncing };
    return facts_put(r->metrics, &f, e);
}

static int before_wait(void *r, struct error *e) { return tell(r, false, e); }

static int unit_keep(struct run *r, struct error *e)
{
    uint64_t kept = record_units(r->to);
    r->units_in++;
    if (r->streams == 1 && r->unit.q > r->at)
        r->at = r->unit.q;                      /* a source that was told to --start there */
    if (r->at > kept)
        return error_set(e, STATUS_BAD, "%s: unit %llu comes, '%s' holds only %llu: give the source --start %llu",
                         stream_in_name(r->in),
                         (unsigned long long)r->at, r->dir, (unsigned long long)kept, (unsigned long long)kept);
    if (r->at++ < kept) {
        r->dropped++;
        return 0;
    }
    return record_unit(r->to, &r->unit, e);
}

static int keep(struct run *r, struct error *e)
{
    for (;;) {
        int rc = 0;
        switch (stream_next(r->in, &r->unit, e)) {
        case STREAM_FAILED:
            return -1;
        case STREAM_EOF:
            if (record_finish(r->to, e) < 0)
                return -1;
            stream_in_commit(r->in, record_units(r->to));
            stream_in_finish(r->in);
            return 0;
        case STREAM_HEADER:
            if (!r->streams++ || r->at >= record_units(r->to))      /* else some of that stream is kept already */
                rc = record_header(r->to, stream_in_header(r->in), e);
            break;
        case STREAM_UNIT:
            rc = unit_keep(r, e);
            break;
        case STREAM_END:
            break;
        }
        double now = clock_seconds();
        if (rc == 0 && now - r->synced > SYNC_SECONDS) {
            rc = record_sync(r->to, e);
            r->synced = clock_seconds();
            r->syncing += r->synced - now;
            if (rc == 0)
                stream_in_commit(r->in, record_units(r->to));
        }
        if (rc < 0)
            return -1;
        if (tell(r, false, e) < 0)
            return -1;
        if (stop_asked())
            return error_set(e, STATUS_AGAIN, "stopped by a signal after %llu units; run it again to go on",
                             (unsigned long long)record_units(r->to));
    }
}

/* The status of a recording that is whole. */
static int judge(const struct run *r, const struct max_errors *allowed)
{
    struct stream_end n = record_total(r->to);
    if (!max_errors_exceeded(allowed, n.errors, n.samples))
        return STATUS_OK;
    warn("%llu of %llu records failed, more than --max-errors %s allows; all are in '%s'", (unsigned long long)n.errors,
         (unsigned long long)n.samples, max_errors, r->dir);
    return STATUS_FAILED_RECORDS;
}

/* Nothing is left to do, unless it is another stream that comes: that would be lost without a word. */
static int already(struct run *r, const struct common *c, struct error *e)
{
    struct error none;
    if (!endpoint_is(c->in) && record_run(r->to).size && (r->in = stream_in_open(c->in, &none)) &&
        stream_next(r->in, &r->unit, &none) == STREAM_HEADER && record_header(r->to, stream_in_header(r->in), e) < 0)
        return -1;
    note("'%s' is whole already: nothing to do", r->dir);
    return 0;
}

static int record(struct run *r, const struct common *c, struct error *e)
{
    if (next && access(r->dir, F_OK) < 0 && errno == ENOENT) {  /* a question makes no directory */
        puts("0");
        return 0;
    }
    if (!(r->to = record_open(r->dir, part_size, e)))
        return -1;
    if (next) {
        printf("%llu\n", (unsigned long long)record_units(r->to));
        return 0;
    }
    if (record_is_whole(r->to))
        return already(r, c, e);
    if (record_units(r->to))
        note("'%s' holds %llu units: going on from there", r->dir, (unsigned long long)record_units(r->to));
    struct stream_tail tail = { .head = head, .next = record_units(r->to), .dir = r->dir };
    struct span run = record_run(r->to);
    if (run.size == sizeof tail.run)
        memcpy(tail.run, run.data, sizeof tail.run);
    if (!(r->in = stream_in_open_tail(c->in, &tail, e)))
        return -1;
    if (!(r->metrics = metrics_open(c->metrics, e)) && e->status)
        return -1;
    stream_in_before_wait(r->in, before_wait, r);
    r->at = stream_in_is_endpoint(r->in) ? tail.next : 0;
    int rc = keep(r, e);
    struct error told = { 0 };
    if (tell(r, true, &told) < 0 && rc == 0) {
        *e = told;
        rc = -1;
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    struct error e = { 0 };
    struct max_errors allowed;
    int first = opt_parse(&program, &c, OPT_NO_OUT, argc, argv);
    struct run r = { .dir = argv[first], .began = clock_seconds() };
    if (!max_errors_parse(max_errors, &allowed))
        die(STATUS_BAD, "--max-errors '%s': a number of records or a percentage like 1%% is wanted", max_errors);
    stop_install();
    unit_init(&r.unit);
    r.synced = r.began;
    int rc = record(&r, &c, &e), status = rc < 0 ? e.status : next ? STATUS_OK : judge(&r, &allowed);
    if (rc < 0)
        warn("%s", e.text);
    if (r.in)
        stream_in_close(r.in);
    metrics_close(r.metrics);
    record_close(r.to);
    unit_release(&r.unit);
    return status;
}
