/* libcommon/stream/facts.c - see facts.h */
#include "libcommon/stream/facts.h"

#include "libcommon/sys/log.h"

void facts_begin(struct metrics *m, const struct facts *f)
{
    metrics_begin(m);
    metrics_str(m, "stage", f->stage);
    metrics_int(m, "units_in", (int64_t)f->units_in);
    metrics_int(m, "units", (int64_t)f->units);
    if (f->samples != FACTS_UNKNOWN)
        metrics_int(m, "samples", (int64_t)f->samples);
    if (f->errors != FACTS_UNKNOWN)
        metrics_int(m, "errors", (int64_t)f->errors);
    metrics_int(m, "window", (int64_t)f->window);
    metrics_real(m, "rate", f->seconds > 0 ? (double)f->units / f->seconds : 0.0);
    metrics_real(m, "seconds", f->seconds);
    metrics_real(m, "wait_in", f->wait_in);
    metrics_real(m, "wait_out", f->wait_out);
}

int facts_put(struct metrics *m, const struct facts *f, struct error *e)
{
    facts_begin(m, f);
    return metrics_end(m, e);
}

void failure_tell(uint64_t before, struct span id, struct span message)
{
    note_alike(before, "further failed samples are counted, and named with -v", "sample '%.*s': %.*s",
               (int)(id.size < 300 ? id.size : 300), (const char *)id.data,
               (int)(message.size < 1000 ? message.size : 1000), (const char *)message.data);
}
