/* kernels/linalg/behind.h - a list of tasks that nobody waits for yet; private to the team
 *
 * Each task has a state: whoever changes it from NEW does it, so that the threads that
 * go through the list and those that need a part of it at once meet in no queue. */
#ifndef PENSTOCK_BEHIND_H
#define PENSTOCK_BEHIND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct behind {                 /* zeroed: there is no list */
    void (*task)(void *ctx, size_t i, int worker);
    void *ctx;
    _Atomic(uint8_t) *state;    /* [room] of each task */
    size_t room;
    _Atomic size_t count;       /* 0: there is no list */
    _Atomic size_t next;        /* of the list, for those who go through it */
    _Atomic int inside;         /* threads that do */
};

/* A list, where there is none.  -1: out of memory. */
int behind_begin(struct behind *b, size_t tasks, void (*task)(void *ctx, size_t i, int worker), void *ctx);
/* When all is done: none again. */
void behind_end(struct behind *b);
void behind_release(struct behind *b);

bool behind_waits(const struct behind *b);      /* for somebody to go through it */
/* Goes through the list until it is used up or *stop. */
void behind_take(struct behind *b, int worker, const _Atomic bool *stop);
/* Does this one, unless somebody has begun it. */
void behind_claim(struct behind *b, size_t i, int worker);
/* The first of from ... to - 1 that is not done; to: all are. */
size_t behind_open(const struct behind *b, size_t from, size_t to);
/* Until from ... to - 1 are done, all of which somebody has begun. */
void behind_wait(const struct behind *b, size_t from, size_t to);

/* For loops that wait for another thread. */
static inline void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
