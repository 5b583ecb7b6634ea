/* libcommon/stream/lp1/session.h - the table of sessions that a binder keeps: by peer, with room bounded */
#ifndef PENSTOCK_LP1_SESSION_H
#define PENSTOCK_LP1_SESSION_H

#include "libcommon/stream/lp1/message.h"

struct lp1_held { uint64_t q; bool live; };             /* live: counted in the unit's holders (HEAD) */

struct lp1_session {
    uint64_t peer, from;                                /* the connection; the worker's incarnation */
    double heard, said;
    uint64_t slots, done;
    bool leaving, lost;                                 /* no more work for it; to be removed */
    char host[LP1_TEXT + 1];
    size_t nheld;
    struct lp1_held held[LP1_LIST];                     /* HEAD: what the worker holds */
    size_t ngiven;
    uint64_t given[LP1_BATCH], given_bytes;             /* HEAD: of those, what it is yet to be sent */
    size_t nrecv[2];
    uint64_t recv[2][LP1_LIST];                         /* TAIL: RECVs to be sent, [ok] */
};

struct lp1_sessions {
    struct lp1_session **at;
    size_t n, room, hit;                                /* hit: found last */
};

struct lp1_session *lp1_session_find(struct lp1_sessions *t, uint64_t peer);
struct lp1_session *lp1_session_of(struct lp1_sessions *t, uint64_t from);     /* by incarnation */
/* NULL: too many, or out of memory. */
struct lp1_session *lp1_session_add(struct lp1_sessions *t, uint64_t peer, uint64_t from, double now);
void lp1_session_remove(struct lp1_sessions *t, struct lp1_session *s);
void lp1_sessions_release(struct lp1_sessions *t);

#endif
