/* libcommon/stream/net/ends.h - what a filter is, by its two ends (docs/protocol.7, ENDS)
 *
 * A pipe at both is a filter between pipes, endpoints that connect at both make a
 * WORKER.  One of each joins the two worlds: what binds its --out is the HEAD of
 * what it reads from a pipe; what connects its --in and writes to a pipe is a
 * TAIL with a worker of its own; both together are a hub with one. */
#ifndef PENSTOCK_ENDS_H
#define PENSTOCK_ENDS_H

#include "libcommon/cli/opt.h"
#include "libcommon/sys/error.h"

enum ends { ENDS_PIPES, ENDS_HEAD, ENDS_WORKER, ENDS_TAIL, ENDS_HUB };

/* Which of them c asks for; -1: a pair of ends that could not keep what is promised, with the remedy. */
int ends_choose(const struct common *c, enum ends *kind, struct error *e);

/* ENDS_TAIL and ENDS_HUB.  work: the WORKER of *c, which runs until it returns its exit status (in a process of
 * its own, with an --out that only we know).  Returns the exit status; what failed has been said. */
int ends_serve(enum ends kind, const struct common *c, int (*work)(void *ctx, const struct common *c), void *ctx);

/* ENDS_HEAD of what does not write a struct stream_out itself.  work: reads c->in, writes c->out, a pipe then. */
int ends_head(const struct common *c, int (*work)(void *ctx, const struct common *c), void *ctx);

#endif
