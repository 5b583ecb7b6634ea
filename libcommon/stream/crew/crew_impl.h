/* libcommon/stream/crew/crew_impl.h - what crew.c (who gets what) and member.c (one copy) share */
#ifndef PENSTOCK_CREW_IMPL_H
#define PENSTOCK_CREW_IMPL_H

#include "libcommon/stream/crew/crew.h"
#include "libcommon/stream/crew/outbox.h"
#include "libcommon/stream/crew/running.h"
#include "libcommon/stream/crew/wire.h"

/* A copy holds two units, or so many as it computes in DEEP_SECONDS: they wait for it when it is slow, and are
 * tried again when it dies. */
#define DEEP_SECONDS 0.05
enum {
    DEPTH = OUTBOX_UNITS,       /* units that a copy may hold, and the bytes of all but two of them */
    DEEP_BYTES = 1 << 20,
    AHEAD_BYTES = 1 << 20,      /* of units that wait for a copy, before more are wanted */
    STARTS = 3,                 /* in a row without a result: then it waits before the next, or fails without a header */
    READS = 16,                 /* of one copy, before the others have their turn */
    PATIENCE = 200,             /* milliseconds for stages to end by themselves after one of them died */
};

struct member {
    bool up, headed, ending;            /* it runs; its header came; its end of stream was put */
    bool ended, readable;               /* the end of what it makes came; poll says so */
    struct running run;
    struct wire wire;
    struct buf control;                 /* the last map put */
    /* in the order they were given; until: of out, the end of its bytes */
    struct { struct job *job; size_t bytes; uint64_t until; } held[DEPTH];
    int njob;
    size_t bytes;
    struct outbox out;                  /* what it is to read */
    struct stream_sum sum;              /* of that */
    uint64_t q;                         /* of the next unit, as the copy counts them */
    double since, start_at;             /* of its last sign of life; not before this */
    double pace;                        /* seconds that a unit took of late; 0: none is known */
    int came;                           /* units in this step */
    int starts;                         /* in a row without a result */
};

struct crew {
    const struct pipeline *p;
    const struct cpus *cpus;
    double timeout;
    struct shadows *shadows;
    struct crew_out out;
    struct member member[CREW_MAX];
    int copies;
    struct blob *header, *made_header;
    struct job *waiting, *last;         /* last: of those, if there are any */
    size_t nwaiting, bytes;             /* bytes: of their bodies */
    bool ending, failed;
    struct error error;
    uint64_t deaths, given_up;
    char names[200];
};

int crew_fail(struct crew *c, const struct error *why);        /* it cannot go on; returns -1 */
void crew_wait_first(struct crew *c, struct job *j);           /* the next that is handed out */

/* Into the copy's queue of writes; -1: crew_fail was called. */
int member_give(struct crew *c, struct member *m, struct job *j, double now);
int member_end(struct crew *c, struct member *m);              /* its input's end */
void member_write(struct member *m);
/* Starts it if it is down, writes, reads what poll said is there, looks at the time. */
int member_step(struct crew *c, struct member *m, double now);
void member_clear(struct member *m);

#endif
