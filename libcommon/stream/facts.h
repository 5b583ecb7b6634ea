/* libcommon/stream/facts.h - what a stage says of itself, the same whichever program it is: lines of --metrics, failures
 *
 * Looking at `rate`, `wait_in` and `wait_out` of all stages once shows the slowest:
 * those before it wait for their output, those behind it for their input. */
#ifndef PENSTOCK_FACTS_H
#define PENSTOCK_FACTS_H

#include "libcommon/cli/metrics.h"
#include "libcommon/stream/stream.h"

#define FACTS_UNKNOWN UINT64_MAX

struct facts {
    const char *stage;
    uint64_t units_in, units;           /* come in, gone out, by this process */
    uint64_t samples, errors;           /* gone out; FACTS_UNKNOWN: not looked into */
    uint64_t window;                    /* units between in and out, or handed out and not taken yet */
    double seconds;                     /* since the beginning */
    double wait_in, wait_out;           /* of them: starved, blocked */
};

/* Begins a line with f; what a program has to add follows, and metrics_end. */
void facts_begin(struct metrics *m, const struct facts *f);
/* The whole of it. */
int facts_put(struct metrics *m, const struct facts *f, struct error *e);

/* On stderr: a sample that failed here.  before: how many did already; the first are named, all with -v. */
void failure_tell(uint64_t before, struct span id, struct span message);

#endif
