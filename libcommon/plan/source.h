/* libcommon/plan/source.h - the one loop of every source (gcs-fetch, replay)
 *
 * A source is a numbered run of units, each of which can be made at any time from
 * its number alone: what a pipe writes in order, and what the HEAD of a ZeroMQ
 * pipeline dispatches and dispatches again. */
#ifndef PENSTOCK_SOURCE_H
#define PENSTOCK_SOURCE_H

#include "libcommon/cli/opt.h"
#include "libcommon/stream/stream.h"

struct source {
    void *ctx;
    const struct header *header;    /* what the stream begins with */
    uint64_t units;                 /* of the whole run: q is below this */
    /* Makes unit q (calls unit_begin).  The same bytes whenever it is called, and called
     * from several threads at once.  What fails in a sample becomes an error record;
     * -1 ends the run with e. */
    int (*unit)(void *ctx, uint64_t q, struct unit *u, struct error *e);
};

/* Puts header, units [start, units), end to c->out; units are made by `jobs`
 * threads ahead of their turn.  Handles SIGINT and SIGTERM (finishes the unit and
 * leaves with 111), a reader that left (quiet, 0), metrics, progress.  Returns
 * the exit status; what failed has been said on stderr. */
int source_run(const struct source *s, const struct common *c, uint64_t start, int64_t jobs);

/* --- the threads behind it, for whoever dispatches differently --------------- */

/* Units made ahead, taken in order.  Ahead of the taker are at most 2 x jobs + 64
 * units and about POOL_BYTES bytes, of which units that are being made have
 * reserved what they read. */
enum { POOL_BYTES = 256 << 20 };
struct source_pool;
struct source_pool *source_pool_open(const struct source *s, uint64_t start, int64_t jobs, struct error *e);
/* 1: *u is the next unit, the caller's until the next call; 0: no more; -1: failed. */
int source_pool_next(struct source_pool *p, struct unit **u, struct error *e);
void source_pool_close(struct source_pool *p);
/* For a source's unit(): waits until `bytes` more may be in memory.  They count
 * until the unit is made; the unit that is next never waits.  Outside of a pool it
 * returns at once. */
void source_reserve(size_t bytes);

#endif
