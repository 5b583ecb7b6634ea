/* libcommon/stream/crew/crew.h - N copies of a pipeline under one supervisor
 *
 * Units go in with any numbers, and come out computed, in any order.  A copy that
 * dies is started again; what it held is tried as job.h says.  Nothing here
 * blocks: the owner polls the descriptors and calls crew_step. */
#ifndef PENSTOCK_CREW_H
#define PENSTOCK_CREW_H

#include <poll.h>

#include "libcommon/stream/crew/job.h"
#include "libcommon/stream/crew/pipeline.h"
#include "libcommon/stream/crew/shadow.h"
#include "libcommon/sys/cpus.h"

enum { CREW_MAX = 256 };

struct crew_out {
    void *ctx;
    void (*header)(void *ctx, struct blob *header);     /* of what is made; once; the caller's share */
    void (*result)(void *ctx, const struct control *c, struct blob *body);     /* body is the receiver's */
};

struct crew_state {
    int copies, up;
    size_t waiting, running;            /* units */
    uint64_t deaths, given_up;          /* children that died; samples that became error records for it */
};

struct crew;
/* p, cpus, shadows: borrowed.  timeout: seconds that a copy may hold a unit without a result; 0: for ever.  shadows: for
 * results that go on to a pipe, else NULL. */
struct crew *crew_new(const struct pipeline *p, int copies, const struct cpus *cpus, double timeout, struct shadows *shadows,
                      const struct crew_out *out, struct error *e);
void crew_free(struct crew *c);         /* kills what runs */

/* The input's header: starts the copies.  The same again is fine; another one fails. */
int crew_header(struct crew *c, struct span header, double now, struct error *e);
/* Takes body; unit: its q, e, k, n, c.  As many as the owner likes: they wait here. */
int crew_give(struct crew *c, const struct control *unit, struct blob *body, double now, struct error *e);
/* Would a copy soon take one more?  What waits here longer leaves the caches meanwhile. */
bool crew_wants(const struct crew *c);
/* Numbers of units that no copy has been given yet, newest first, and forgets them.  Returns how many. */
size_t crew_take_back(struct crew *c, uint64_t *q, size_t max);
/* No more units: copies end, each with its end of stream. */
void crew_end(struct crew *c);
bool crew_ended(const struct crew *c);

/* Fills at most 2 * copies entries. */
size_t crew_poll(const struct crew *c, struct pollfd *p);
void crew_polled(struct crew *c, const struct pollfd *p, size_t n);     /* what poll said of them */
double crew_wakes(const struct crew *c, double now);    /* seconds until crew_step is due without an event */
/* Reads, writes, starts.  -1: the crew cannot go on (e->status: 100 configuration, 111 else). */
int crew_step(struct crew *c, double now, struct error *e);
void crew_show(const struct crew *c, struct crew_state *s);

#endif
