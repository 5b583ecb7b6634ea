/* libcommon/stream/lp1/head_impl.h - what head.c (who says what), settle.c (its TAIL), lease.c (who holds what) share */
#ifndef PENSTOCK_LP1_HEAD_IMPL_H
#define PENSTOCK_LP1_HEAD_IMPL_H

#include "libcommon/stream/lp1/head.h"
#include "libcommon/stream/lp1/session.h"

enum state { ABSENT, QUEUED, LEASED, DELIVERED, DONE };

struct slot {
    enum state state;
    uint32_t holders;
    struct lp1_unit unit;
};

struct lp1_head {
    struct lp1_head_out out;
    uint8_t run[16];
    uint64_t from, budget, bytes, queued;       /* queued: bytes of those that nobody has yet */
    void *header;
    struct lp1_sessions sessions;
    size_t stale;                       /* entries of sessions that are not live */

    bool tail_known, tail_bye, tail_final;
    uint64_t tail_peer, tail;           /* connection (0: lost), incarnation */
    double tail_heard, tail_said;
    uint64_t base, pos, scan, top, limit, commit, total, requeued;     /* top: above all that the ring marks */
    bool complete, total_untold;
    double completed_at, now, ticked;
    struct slot ring[LP1_WINDOW];
    struct lp1_message m;               /* being sent */
};

struct slot *head_slot_of(struct lp1_head *h, uint64_t q);        /* where unit q lies */
void head_slot_turn(struct lp1_head *h, struct slot *s, enum state to);
void head_slot_empty(struct lp1_head *h, struct slot *s, enum state then);        /* its body is dropped */
struct lp1_message *head_message(struct lp1_head *h, enum lp1_type t, uint64_t to);        /* h->m, begun */
bool head_session_send(struct lp1_head *h, struct lp1_session *s);        /* h->m; false: the session is lost now */
void head_tail_send(struct lp1_head *h);
void head_reject(struct lp1_head *h, uint64_t peer, uint64_t to, enum lp1_code code, const char *text);
void head_eos_make(struct lp1_head *h, uint64_t to);        /* h->m: the total, and whether all is over */
void head_welcome_make(struct lp1_head *h, uint64_t to);
bool head_held_take(struct lp1_session *s, uint64_t q, struct lp1_held *held);        /* an entry leaves a worker's list */
/* and with it the lease; delivered: its result is at the present TAIL */
void head_held_end(struct lp1_head *h, struct lp1_held held, bool delivered);
/* a worker holds q: from now on, or since before */
void head_held_add(struct lp1_head *h, struct lp1_session *s, uint64_t q);
void head_session_end(struct lp1_head *h, struct lp1_session *s);
void head_ring_empty(struct lp1_head *h, uint64_t end);        /* all units below end are dropped */
void head_tail_hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m);
void head_ack(struct lp1_head *h, const struct lp1_message *m);

#endif
