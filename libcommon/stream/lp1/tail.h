/* libcommon/stream/lp1/tail.h - TAIL: accepts each unit once, and gives them out in order
 *
 * Events in, actions out through struct lp1_tail_out; no socket, no clock. */
#ifndef PENSTOCK_LP1_TAIL_H
#define PENSTOCK_LP1_TAIL_H

#include "libcommon/stream/lp1/message.h"

struct lp1_tail_out {
    void *ctx;
    bool (*send_head)(void *ctx, const struct lp1_message *m);      /* false: not connected now */
    void (*reset_head)(void *ctx);                                  /* close that socket, open another */
    bool (*send_worker)(void *ctx, uint64_t peer, const struct lp1_message *m);     /* false: the peer is gone */
    /* A worker shows the header of what it makes (borrowed).  false: it differs from what others made. */
    bool (*header)(void *ctx, void *header);
    /* HEAD's own header (borrowed), each time it says WELCOME */
    void (*head_header)(void *ctx, void *header);
    void (*body_free)(void *ctx, void *body);
};

struct lp1_tail_state {
    bool head;                  /* connected to it */
    uint64_t taken, next, limit, commit, total;
    size_t workers, held;       /* units accepted and not yet taken */
    uint64_t bytes, duplicates, refused, differing;
};

struct lp1_tail;
/* incarnation: grows with each start.  next: the first unit wanted.  run: of the checkpoint, zeros if there is none.
 * role: LP1_TAIL or LP1_HUB.  bytes: bodies held at most, beside the one that all wait for. */
struct lp1_tail *lp1_tail_new(const uint8_t run[16], uint64_t incarnation, uint64_t next, enum lp1_role role, uint64_t bytes,
                              const struct lp1_tail_out *out);
void lp1_tail_free(struct lp1_tail *t);

void lp1_tail_from_head(struct lp1_tail *t, const struct lp1_message *m, double now);
/* Bodies that it keeps are NULL in m afterwards.  A unit that came without one (it was damaged) is asked for again. */
void lp1_tail_from_worker(struct lp1_tail *t, uint64_t peer, struct lp1_message *m, double now);
void lp1_tail_tick(struct lp1_tail *t, double now);
/* Sends what has gathered: RECVs, an ACK if it is due.  After each batch of messages, takes and commits, and ticks. */
void lp1_tail_flush(struct lp1_tail *t, double now);
bool lp1_tail_ack_waits(const struct lp1_tail *t);      /* a flush would send one: takes and commits have made it due */

/* The consumer.  false: the next one is not here yet.  The body is the taker's. */
bool lp1_tail_take(struct lp1_tail *t, struct lp1_unit *u);
bool lp1_tail_ended(const struct lp1_tail *t);          /* all units of the stream have been taken */
void lp1_tail_commit(struct lp1_tail *t, uint64_t seq); /* all below are durable */
void lp1_tail_final(struct lp1_tail *t);                /* the consumer ended well, all is committed */
bool lp1_tail_finished(const struct lp1_tail *t);       /* HEAD knows, or was waited for long enough */
/* Not NULL: the run cannot go on, for this reason; *status as in sys/error.h. */
const char *lp1_tail_fatal(const struct lp1_tail *t, int *status);
/* The plan's hash; NULL: not known yet. */
const uint8_t *lp1_tail_run(const struct lp1_tail *t);
void lp1_tail_state(const struct lp1_tail *t, struct lp1_tail_state *s);

#endif
