/* kernels/linalg/behind.c - see behind.h and compute.h */
#include "kernels/linalg/behind.h"

#include <sched.h>
#include <stdlib.h>

enum { NEW, TAKEN, DONE };

enum { SPIN = 4000 };           /* pauses before the processor is offered to others */

bool behind_waits(struct behind *b)
{
    return atomic_load(&b->next) < atomic_load(&b->count);
}

static void claim(struct behind *b, size_t i, int worker)
{
    uint8_t is = NEW;
    if (!atomic_compare_exchange_strong(&b->state[i], &is, TAKEN))
        return;
    b->task(b->ctx, i, worker);
    atomic_store_explicit(&b->state[i], DONE, memory_order_release);
}

void behind_take(struct behind *b, int worker, _Atomic bool *stop)
{
    if (!behind_waits(b))
        return;
    atomic_fetch_add(&b->inside, 1);            /* from here on no list is changed: team_behind waits */
    size_t count = atomic_load(&b->count), i;
    while (count && !atomic_load(stop) && (i = atomic_fetch_add(&b->next, 1)) < count)
        claim(b, i, worker);
    atomic_fetch_sub(&b->inside, 1);
}

int team_behind(struct team *team, size_t tasks, void (*task)(void *ctx, size_t i, int worker), void *ctx)
{
    struct behind *b = team_list(team);
    team_behind_end(team);
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
    team_wake(team);
    return 0;
}

struct need { struct behind *b; size_t from; };

static void need_task(void *ctx, size_t i, int worker)
{
    const struct need *n = ctx;
    claim(n->b, n->from + i, worker);
}

/* The first of from ... to - 1 that is not done. */
static size_t first_open(const struct behind *b, size_t from, size_t to)
{
    while (from < to && atomic_load_explicit(&b->state[from], memory_order_acquire) == DONE)
        from++;
    return from;
}

void team_need(struct team *team, size_t from, size_t to)
{
    struct behind *b = team_list(team);
    from = first_open(b, from, to);
    if (from == to)
        return;
    team_run(team, to - from, need_task, &(struct need){ b, from });
    for (int spin = 0; (from = first_open(b, from, to)) < to; spin++) {     /* another thread is at it */
        if (spin < SPIN)
            team_pause();
        else
            sched_yield();
    }
}

void team_behind_end(struct team *team)
{
    struct behind *b = team_list(team);
    team_need(team, 0, atomic_load(&b->count));
    atomic_store(&b->count, 0);
    for (int spin = 0; atomic_load(&b->inside); spin++) {
        if (spin < SPIN)
            team_pause();
        else
            sched_yield();
    }
}
