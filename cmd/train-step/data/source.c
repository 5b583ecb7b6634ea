/* cmd/train-step/data/source.c - see source.h */
#include "cmd/train-step/data/source.h"

#include <inttypes.h>
#include <string.h>

#include "libcommon/sys/stop.h"

int source_open(struct source *s, const char *spec, const struct stream_tail *tail, const struct ahead_limits *ahead,
                struct error *e)
{
    *s = (struct source){ 0 };
    unit_init(&s->unit);
    s->in = tail ? stream_in_open_tail(spec, tail, e) : stream_in_open(spec, e);
    if (s->in && ahead)
        s->in = stream_in_ahead(s->in, ahead, e);
    if (!s->in)
        return -1;
    enum stream_event event = stream_next(s->in, &s->unit, e);
    if (event == STREAM_HEADER)
        return 0;
    return event == STREAM_FAILED ? -1 : error_set(e, STATUS_BAD, "the stream of samples does not begin with a header");
}

void source_seek(struct source *s, const struct cursor *c) { s->cursor = *c; }

/* A unit has come: what of it was not used before? */
static int unit_arrived(struct source *s, struct error *e)
{
    if (s->headed) {            /* first of this stream */
        s->headed = false;
        s->first = s->unit.q;
    }
    uint64_t q = s->unit.q - s->first + s->base;
    if (!s->begun && q > s->cursor.next && s->cursor.next + s->cursor.offset > 0)
        return error_set(e, STATUS_BAD, "the checkpoint goes on at unit %" PRIu64 ", but the stream begins at unit %" PRIu64
                         "; give it from the start, or its source --start %" PRIu64, s->cursor.next, q, s->cursor.next);
    uint64_t epoch = s->past + s->unit.epoch;
    s->boundary |= s->begun && epoch != s->arrived;
    s->arrived = epoch;
    s->after = q + 1;
    if (q < s->cursor.next)
        return 0;
    s->at = q == s->cursor.next ? (uint32_t)s->cursor.offset : 0;
    if (s->at > s->unit.k)
        return error_set(e, STATUS_BAD, "the checkpoint has used %u samples of unit %" PRIu64 ", but it has %u: this is "
                                        "another stream", s->at, q, s->unit.k);
    s->begun = s->loaded = true;
    s->cursor.next = s->unit.k ? q : q + 1;
    s->cursor.offset = s->at;
    return 0;
}

/* Another stream follows on the same pipe: its epochs are further ones. */
static int stream_follows(struct source *s, struct error *e)
{
    if (s->after > s->base)     /* the one before had units */
        s->past = s->arrived + 1;
    s->base = s->after;
    s->headed = true;
    s->boundary = true;
    return s->header ? s->header(s->ctx, stream_in_header(s->in), e) : 0;
}

/* The next sample of the loaded unit that did not fail, or NULL: the unit is used up. */
static struct sample *unit_take(struct source *s)
{
    while (s->at < s->unit.k) {
        struct sample *sample = &s->unit.sample[s->at++];
        struct sample_error what;
        bool failed = sample_error(sample, &what);
        s->cursor.offset = s->at;
        s->samples++;
        s->failed += failed && !what.dropped;     /* dropped on request: no failure */
        s->cursor.skipped += failed;
        if (s->at == s->unit.k) {
            s->cursor.next++;
            s->cursor.offset = 0;
        }
        if (!failed)
            return sample;
    }
    s->loaded = false;
    return NULL;
}

enum source_event source_next(struct source *s, struct sample **sample, struct error *e)
{
    for (;;) {
        if (stop_asked())
            return SOURCE_STOPPED;
        if (s->boundary) {
            s->boundary = false;
            return SOURCE_EPOCH;
        }
        if (s->loaded && (*sample = unit_take(s))) {
            s->epoch = s->arrived;
            return SOURCE_SAMPLE;
        }
        switch (stream_next(s->in, &s->unit, e)) {
        case STREAM_UNIT:
            if (unit_arrived(s, e) < 0)
                return SOURCE_FAILED;
            break;
        case STREAM_HEADER:
            if (stream_follows(s, e) < 0)
                return SOURCE_FAILED;
            break;
        case STREAM_END:
            break;
        case STREAM_EOF:
            if (!s->begun && s->after && s->cursor.next > s->after) {
                error_set(e, STATUS_BAD, "the checkpoint goes on at unit %" PRIu64 ", but the stream ends before unit %"
                          PRIu64 ": this is another stream", s->cursor.next, s->after);
                return SOURCE_FAILED;
            }
            return SOURCE_END;
        default:
            return stop_asked() ? SOURCE_STOPPED : SOURCE_FAILED;
        }
    }
}

void source_reject(struct source *s)
{
    s->failed++;
    s->cursor.skipped++;
}

double source_waited(const struct source *s) { return stream_in_waited(s->in); }

void source_close(struct source *s)
{
    if (s->in)
        stream_in_close(s->in);
    unit_release(&s->unit);
    *s = (struct source){ 0 };
}
