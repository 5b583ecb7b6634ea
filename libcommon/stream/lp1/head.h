/* libcommon/stream/lp1/head.h - HEAD: hands units out until the TAIL says that all are durable
 *
 * Events in, actions out through struct lp1_head_out; no socket, no clock (times
 * are given, in seconds).  A peer is a connection's number.  Bodies are opaque:
 * the machine owns each that it was given until it calls body_free. */
#ifndef PENSTOCK_LP1_HEAD_H
#define PENSTOCK_LP1_HEAD_H

#include "libcommon/stream/lp1/message.h"

struct lp1_head_out {
    void *ctx;
    /* Bodies and the header are borrowed for the call (share them, do not keep them).
     * false: the peer is gone; the machine then drops its session. */
    bool (*send)(void *ctx, uint64_t peer, const struct lp1_message *m);
    void (*body_free)(void *ctx, void *body);
};

struct lp1_head_state {         /* for progress lines and metrics */
    bool tail;                  /* is there one */
    uint64_t base, pos, limit, commit, total;       /* TAIL's next; next to be made; ... */
    size_t workers, slots, leased;
    uint64_t requeued;          /* units handed out again so far */
};

struct lp1_head;
/* run: of the plan.  incarnation: random, not 0.  header: borrowed, for WELCOME.
 * bytes: bodies kept at most (and always room for the one that TAIL waits for).  NULL: out of memory. */
struct lp1_head *lp1_head_new(const uint8_t run[16], uint64_t incarnation, void *header, uint64_t bytes,
                              const struct lp1_head_out *out);
void lp1_head_free(struct lp1_head *h);

void lp1_head_message(struct lp1_head *h, uint64_t peer, const struct lp1_message *m, double now);
void lp1_head_tick(struct lp1_head *h, double now);
/* Hands out what can be: after each batch of messages or units, and ticks. */
void lp1_head_flush(struct lp1_head *h, double now);
bool lp1_head_work_waits(const struct lp1_head *h);     /* a flush would hand out something: puts have made it so */

/* The source.  true: make unit *q next (and no other).  It may go back, when a TAIL was restarted. */
bool lp1_head_wants(const struct lp1_head *h, uint64_t *q);
/* Takes u->body.  u->q must be what lp1_head_wants said. */
void lp1_head_put(struct lp1_head *h, const struct lp1_unit *u);
void lp1_head_total(struct lp1_head *h, uint64_t total);        /* the first number that does not exist */
bool lp1_head_complete(const struct lp1_head *h);               /* all is durable */
bool lp1_head_finished(const struct lp1_head *h);               /* and all have been told (or waited for long enough) */
void lp1_head_state(const struct lp1_head *h, struct lp1_head_state *s);

#endif
