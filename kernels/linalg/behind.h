/* kernels/linalg/behind.h - a team's work that nobody waits for yet; private to the team
 *
 * Each task has a state: whoever changes it from NEW does it, so that the threads that
 * go through the list and those that need a part of it at once meet in no queue. */
#ifndef PENSTOCK_BEHIND_H
#define PENSTOCK_BEHIND_H

#include "kernels/linalg/compute.h"

#include <stdatomic.h>

struct behind {
    void (*task)(void *ctx, size_t i, int worker);
    void *ctx;
    _Atomic(uint8_t) *state;    /* [room] of each task */
    size_t room;
    _Atomic size_t count;       /* 0: there is no list */
    _Atomic size_t next;        /* of the list, for those who go through it */
    _Atomic int inside;         /* threads that do */
};

struct behind *team_list(struct team *team);
/* Wakes whoever sleeps. */
void team_wake(struct team *team);

bool behind_waits(struct behind *b);
/* Goes through the list until it is used up or *stop. */
void behind_take(struct behind *b, int worker, _Atomic bool *stop);

#endif
