/* libcommon/stream/filter.h - the one loop of every filter
 *
 * Take a unit, change its samples, put it, before the next is waited for: one
 * unit out for each in, same q, same number of samples.  A sample that cannot
 * be processed becomes an error record; one that arrives as such passes. */
#ifndef PENSTOCK_FILTER_H
#define PENSTOCK_FILTER_H

#include "libcommon/cli/opt.h"
#include "libcommon/stream/stream.h"

struct filter {
    void *ctx;
    struct stage *stage;        /* appended to the header; set up before filter_run */
    /* May look at the header (features made for another model?); -1 ends the run with e. May be NULL. */
    int (*header)(void *ctx, const struct header *h, struct error *e);
    /* Changes one sample.  -1 with e: it becomes an error record with e's text;
     * unless e->status is STATUS_AGAIN: then the run ends (out of memory, ...). */
    int (*sample)(void *ctx, struct sample *s, uint64_t epoch, struct error *e);
};

/* Runs until the end of the input.  Handles SIGINT and SIGTERM (finishes the
 * unit and leaves with 111), a reader that left (quiet, 0), metrics, progress.
 * Returns the exit status; what failed has been said on stderr. */
int filter_run(const struct filter *f, const struct common *c);

#endif
