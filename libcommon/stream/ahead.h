/* libcommon/stream/ahead.h - a stream that is read ahead of its taker, by a thread
 *
 * For a consumer that computes for long between units: what comes next is read,
 * checked and taken apart meanwhile, and who makes it is not held up. */
#ifndef PENSTOCK_AHEAD_H
#define PENSTOCK_AHEAD_H

#include "libcommon/stream/stream.h"
#include "libcommon/sys/cpus.h"

/* Ahead of the taker are units of about `samples` samples, or fewer of `bytes` bytes in all, but always two. */
struct ahead_limits {
    uint64_t samples, bytes;
    const struct cpus *cpus;    /* where the thread may run; NULL: where its maker does */
};

/* The same stream from another object, which owns in from now on (also when it fails: NULL).  What
 * stream_in_waited says of it are the seconds in which the taker stood still for a unit. */
struct stream_in *stream_in_ahead(struct stream_in *in, const struct ahead_limits *limits, struct error *e);

#endif
