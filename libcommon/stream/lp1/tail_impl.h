/* libcommon/stream/lp1/tail_impl.h - what tail.c (the HEAD, the consumer) and accept.c (the workers) share */
#ifndef PENSTOCK_LP1_TAIL_IMPL_H
#define PENSTOCK_LP1_TAIL_IMPL_H

#include "libcommon/stream/lp1/session.h"
#include "libcommon/stream/lp1/tail.h"

struct tail_slot {
    bool held;
    struct lp1_unit unit;
};

struct lp1_tail {
    struct lp1_tail_out out;
    uint8_t run[16];
    uint64_t from, role, budget, bytes, biggest;
    struct lp1_sessions sessions;

    bool up;                            /* HEAD said WELCOME */
    bool run_known, final, head_final, left;      /* left: the workers were told without HEAD */
    bool dirty, urgent;                 /* an ACK would say something new; and it should go at once */
    uint64_t told_next, told_limit;     /* by the last ACK */
    uint64_t head;                      /* its incarnation */
    double head_heard, head_said, final_at, now, ticked;
    uint64_t taken, next, top, commit, total;       /* top: above all that is held */
    uint64_t duplicates, refused, differing;
    size_t held;
    int status;
    char fatal[LP1_TEXT + 64];
    struct tail_slot ring[LP1_WINDOW];
    struct lp1_message m;               /* being sent */
};

struct tail_slot *tail_slot_of(struct lp1_tail *t, uint64_t q);         /* where unit q lies */
uint64_t tail_limit(const struct lp1_tail *t);          /* what fits the budget at the size that units have had lately */
void tail_session_send(struct lp1_tail *t, struct lp1_session *s);      /* t->m */
void tail_recv_send(struct lp1_tail *t, struct lp1_session *s);         /* what has gathered for one worker */

#endif
