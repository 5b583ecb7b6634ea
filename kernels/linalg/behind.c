/* kernels/linalg/behind.c - see behind.h */
#include "kernels/linalg/behind.h"

#include <sched.h>
#include <stdlib.h>

enum { NEW, TAKEN, DONE };

enum { SPIN = 4000 };           /* pauses before the processor is offered to others */

static void wait_a_little(int turn)
{
    if (turn < SPIN)
        pause_a_little();
    else
        sched_yield();
}

int behind_begin(struct behind *b, size_t tasks, void (*task)(void *ctx, size_t i, int worker), void *ctx)
{
    if (tasks > b->room) {
        void *state = realloc((void *)b->state, tasks * sizeof *b->state);
        if (!state)
            return -1;
        b->state = state;
        b->room = tasks;
    }
    for (size_t i = 0; i < tasks; i++)
        atomic_init(&b->state[i], NEW);
    b->task = task;
    b->ctx = ctx;
    atomic_store(&b->next, 0);
    atomic_store(&b->count, tasks);
    return 0;
}

void behind_end(struct behind *b)
{
    atomic_store(&b->count, 0);
    for (int turn = 0; atomic_load(&b->inside); turn++)
        wait_a_little(turn);
}

void behind_release(struct behind *b)
{
    free((void *)b->state);
}

bool behind_waits(const struct behind *b)
{
    return atomic_load(&b->next) < atomic_load(&b->count);
}

void behind_claim(struct behind *b, size_t i, int worker)
{
    uint8_t is = NEW;
    if (!atomic_compare_exchange_strong(&b->state[i], &is, TAKEN))
        return;
    b->task(b->ctx, i, worker);
    atomic_store_explicit(&b->state[i], DONE, memory_order_release);
}

void behind_take(struct behind *b, int worker, const _Atomic bool *stop)
{
    if (!behind_waits(b))
        return;
    atomic_fetch_add(&b->inside, 1);            /* from here on the list stays: behind_end waits */
    size_t count = atomic_load(&b->count), i;
    while (count && !atomic_load(stop) && (i = atomic_fetch_add(&b->next, 1)) < count)
        behind_claim(b, i, worker);
    atomic_fetch_sub(&b->inside, 1);
}

size_t behind_open(const struct behind *b, size_t from, size_t to)
{
    while (from < to && atomic_load_explicit(&b->state[from], memory_order_acquire) == DONE)
        from++;
    return from;
}

void behind_wait(const struct behind *b, size_t from, size_t to)
{
    for (int turn = 0; (from = behind_open(b, from, to)) < to; turn++)
        wait_a_little(turn);
}
