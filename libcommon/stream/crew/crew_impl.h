/* libcommon/stream/crew/crew_impl.h - what crew.c (who gets what) and member.c (one copy) share */
#ifndef PENSTOCK_CREW_IMPL_H
#define PENSTOCK_CREW_IMPL_H

#include "libcommon/stream/crew/crew.h"
#include "libcommon/stream/crew/wire.h"

/* A copy holds two units, or so many as it computes in DEEP_SECONDS: they wait for it when it is slow, and are
 * tried again when it dies. */
#define DEEP_SECONDS 0.05
enum { DEPTH = 256, DEEP_BYTES = 1 << 20, AHEAD_BYTES = 1 << 20, SEGMENTS = 2 * DEPTH + 4, STARTS = 3, READS = 16,
       PATIENCE = 200, SMALL = 32 << 10, GATHER = 60 << 10 };

struct member {
    bool up, headed, ending;            /* its header came; its end of stream was sent */
    bool ended, readable;               /* its own came; poll says so */
    struct running run;
    struct wire wire;
    struct buf control;                 /* the last map written */
    struct { struct job *job; size_t bytes; } held[DEPTH];      /* in the order they were given */
    int njob;
    size_t bytes;
    /* to be written; room: of one that small ones are copied to, else 0 */
    struct { struct blob *blob; size_t at, room; } seg[SEGMENTS];
    int nseg;
    uint64_t q;                         /* of the next unit, as the copy counts them */
    struct stream_end sent;
    uint32_t crc;
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
