/* cmd/stream-show/main.c - a stream as text: one JSON object a sample
 *
 * What a person debugs with.  A truncated stream is shown up to the break. */
#include "cmd/stream-show/stats.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/cli/text_out.h"
#include "libcommon/stream/show.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

static bool headers, counts;
static int64_t values;

static const struct opt options[] = {
    { OPT_FLAG, .name = "header", .value = &headers, .help = "print the headers, not the samples" },
    { OPT_FLAG, .name = "stats", .value = &counts, .help = "count instead: the stream, then each field" },
    { OPT_INT, .name = "values", .value = &values, .arg = "N", .min = 0, .max = 1 << 30,
      .help = "list the first N items of each array" },
    { .name = NULL },
};

enum { TEXT_MAX = 1 << 30, FLUSH_SIZE = 64 << 10 };

struct text {
    struct text_out out;
    struct buf buf;
    bool gone;                  /* the reader left */
};

static int text_flush(void *ctx, struct error *e)
{
    struct text *t = ctx;
    if (t->buf.failed)
        return error_memory(e);
    if (text_out_put(&t->out, t->buf.data, t->buf.size, e) < 0 || text_out_flush(&t->out, e) < 0) {
        t->gone = e->status == STATUS_OK;
        return -1;
    }
    buf_clear(&t->buf);
    return 0;
}

static int header_print(struct text *t, const struct header *h, struct error *e)
{
    show_value(&t->buf, span_of(h->map.data, h->map.size), &(struct show){ .hex = true });
    buf_append(&t->buf, "\n", 1);
    return t->buf.size > FLUSH_SIZE ? text_flush(t, e) : 0;
}

static int unit_print(struct text *t, const struct unit *u, struct error *e)
{
    const struct show how = { .values = (uint64_t)values };
    for (uint32_t i = 0; i < u->k; i++) {
        show_sample(&t->buf, &u->sample[i], &how);
        buf_append(&t->buf, "\n", 1);
        if (t->buf.size > FLUSH_SIZE && text_flush(t, e) < 0)
            return -1;
    }
    return 0;
}

/* Reads to the end; -1 with e. */
static int stream_print(struct stream_in *in, struct unit *u, struct stats *st, struct text *t, struct error *e)
{
    for (;;) {
        int rc = 0;
        switch (stream_next(in, u, e)) {
        case STREAM_FAILED:
            return -1;
        case STREAM_EOF:
            return 0;
        case STREAM_HEADER:
            if (headers)
                rc = header_print(t, stream_in_header(in), e);
            stats_header(st);
            break;
        case STREAM_UNIT:
            if (stats_unit(st, u, counts) < 0)
                return error_memory(e);
            if (!counts && !headers)
                rc = unit_print(t, u, e);
            break;
        case STREAM_END:
            break;
        }
        if (rc < 0)
            return -1;
    }
}

static int metrics_print(struct metrics *m, const struct stats *st, const struct stream_in *in, double seconds,
                         struct error *e)
{
    struct facts f = { .stage = "stream-show", .seconds = seconds, .wait_in = stream_in_waited(in) };
    stats_facts(st, &f);
    return facts_put(m, &f, e);
}

int main(int argc, char **argv)
{
    static const struct program prog = { "stream-show", "[FILE]", 0, 1,
                                         "prints a stream: one JSON object a sample, arrays in summary", options };
    struct common c = { 0 };
    struct error e;
    int first = opt_parse(&prog, &c, OPT_TEXT_OUT, argc, argv);
    if (first < argc && c.in)
        die(STATUS_BAD, "both --in '%s' and operand '%s' name what to read", c.in, argv[first]);
    stop_install();
    struct stream_in *in = stream_in_open(first < argc ? argv[first] : c.in, &e);
    if (!in)
        die(e.status, "%s", e.text);

    struct text t = { .gone = false };
    buf_init(&t.buf, TEXT_MAX);
    if (text_out_open(&t.out, c.out, &e) < 0)
        die(e.status, "%s", e.text);
    struct metrics *m = metrics_open(c.metrics, &e);
    if (!m && e.status)
        die(e.status, "%s", e.text);
    double began = clock_seconds();
    struct stats *st = stats_new();
    if (!st)
        die(STATUS_AGAIN, "out of memory");
    struct unit u;
    unit_init(&u);
    stream_in_before_wait(in, text_flush, &t);
    int rc = stream_print(in, &u, st, &t, &e);
    if (counts && !t.gone)
        stats_print(st, &t.buf, stream_in_bytes(in), rc == 0);
    struct error late;
    if (!t.gone && text_flush(&t, rc ? &late : &e) < 0)
        rc = -1;
    if (text_out_close(&t.out, rc ? &late : &e) < 0)
        rc = -1;
    if (metrics_print(m, st, in, clock_seconds() - began, rc ? &late : &e) < 0)
        rc = -1;
    metrics_close(m);
    stream_in_close(in);
    unit_release(&u);
    stats_free(st);
    buf_release(&t.buf);
    if (rc < 0 && !t.gone)
        die(e.status, "%s", e.text);
    return STATUS_OK;
}
