/* kernels/linalg/team.c - threads that wait for work: see compute.h
 *
 * A run publishes one 64-bit ticket: which run it is (high half) and how many
 * of its tasks are still to be taken (low half).  Taking a task is one
 * compare-and-swap that lowers the ticket, so a thread that wakes late finds
 * nothing left and touches nothing: a short run never waits for sleepers.
 * Waiting is a spin, then a condition variable.  The next operation of a step
 * comes within microseconds, and to be woken costs far more than that, above all
 * in a virtual machine: so the spin is long, unless threads outnumber processors
 * and one that spins is in another's way. */
#include "kernels/linalg/behind.h"
#include "kernels/linalg/compute.h"
#include "kernels/linalg/pages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#endif

#ifndef __APPLE__
/* Its own threads would change the bits with their number; absent in other BLAS libraries. */
extern void openblas_set_num_threads(int) __attribute__((weak));
#endif

enum { LINE = 64 };                     /* bytes of a cache line */
enum { SPIN = 40000, SPIN_CROWDED = 4000 };     /* pauses: half a millisecond to two; a tenth of that */

typedef void task_fn(void *ctx, size_t i, int worker);

struct member {
    struct team *team;
    pthread_t thread;
    int worker, cpu;
    bool behind;                        /* goes through the list of what is done behind */
};

struct team {
    int size, started, spin;
    struct member *members;             /* [size]; the caller's own is unused */
    uint8_t *memory;                    /* shared, then each worker's */
    _Atomic(task_fn *) task;
    _Atomic(void *) ctx;
    _Atomic size_t base, count;         /* this run's tasks: base ... base + count - 1 */
    _Alignas(LINE) _Atomic uint64_t ticket;
    _Alignas(LINE) _Atomic uint32_t done;
    _Alignas(LINE) _Atomic int sleepers;
    _Atomic bool caller_sleeps, stop;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    struct behind behind;
};

static void pin(int cpu)
{
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0 && cpu < CPU_SETSIZE) {
        CPU_SET((unsigned)cpu, &set);
        sched_setaffinity(0, sizeof set, &set);  /* a wish: without it the results are the same */
    }
#else
    (void)cpu;
#endif
}

/* Takes tasks of the run in force until none is left. */
static void take(struct team *team, int worker)
{
    uint64_t ticket = atomic_load(&team->ticket);
    while ((uint32_t)ticket) {
        task_fn *task = atomic_load_explicit(&team->task, memory_order_relaxed);
        void *ctx = atomic_load_explicit(&team->ctx, memory_order_relaxed);
        size_t i = atomic_load_explicit(&team->base, memory_order_relaxed) +
                   atomic_load_explicit(&team->count, memory_order_relaxed) - (uint32_t)ticket;
        /* Success means that the run is still the one whose task was read. */
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket - 1))
            continue;
        uint32_t count = (uint32_t)atomic_load_explicit(&team->count, memory_order_relaxed);
        task(ctx, i, worker);
        if (atomic_fetch_add(&team->done, 1) + 1 == count && atomic_load(&team->caller_sleeps)) {
            pthread_mutex_lock(&team->lock);
            pthread_cond_signal(&team->finished);
            pthread_mutex_unlock(&team->lock);
        }
        ticket = atomic_load(&team->ticket);
    }
}

static bool work_waits(struct team *team, const struct member *m)
{
    return (uint32_t)atomic_load(&team->ticket) || atomic_load(&team->stop) || (m->behind && behind_waits(&team->behind));
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct team *team = m->team;
    pin(m->cpu);
    while (!atomic_load(&team->stop)) {
        if (m->behind)
            behind_take(&team->behind, m->worker, &team->stop);
        take(team, m->worker);
        int spin = 0;
        while (spin < team->spin && !work_waits(team, m)) {
            pause_a_little();
            spin++;
        }
        if (spin < team->spin)
            continue;
        pthread_mutex_lock(&team->lock);
        atomic_fetch_add(&team->sleepers, 1);
        while (!work_waits(team, m))
            pthread_cond_wait(&team->work, &team->lock);
        atomic_fetch_sub(&team->sleepers, 1);
        pthread_mutex_unlock(&team->lock);
    }
    return NULL;
}

static size_t team_memory(int threads)
{
    return TEAM_SHARED + (size_t)threads * TEAM_SCRATCH;
}

void *team_shared(const struct team *team)
{
    return team->memory;
}

void *team_scratch(const struct team *team, int worker)
{
    return team->memory + TEAM_SHARED + (size_t)worker * TEAM_SCRATCH;
}

struct team *team_new(int threads, const int *cpus)
{
#ifndef __APPLE__
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
#endif
    void *room = NULL;
    if (threads < 1 || posix_memalign(&room, LINE, sizeof(struct team)))
        return NULL;
    struct team *team = room;
    memset(team, 0, sizeof *team);
    team->size = threads;
    team->spin = threads > sysconf(_SC_NPROCESSORS_ONLN) ? SPIN_CROWDED : SPIN;
    team->members = calloc((size_t)threads, sizeof *team->members);
    team->memory = pages_new(team_memory(threads));
    if (!team->members || !team->memory) {
        pages_free(team->memory, team_memory(threads));
        free(team->members);
        free(team);
        return NULL;
    }
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->work, NULL);
    pthread_cond_init(&team->finished, NULL);
    if (cpus)
        pin(cpus[0]);
    for (int i = 1; i < threads; i++) {
        struct member *m = &team->members[i];
        *m = (struct member){.team = team, .worker = i, .cpu = cpus ? cpus[i] : -1, .behind = i >= threads - threads / 2};
        if (pthread_create(&m->thread, NULL, member_main, m)) {
            team_free(team);
            return NULL;
        }
        team->started++;
    }
    return team;
}

void team_free(struct team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->stop, true);
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->lock);
    for (int i = 1; i <= team->started; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->finished);
    pthread_cond_destroy(&team->work);
    pthread_mutex_destroy(&team->lock);
    pages_free(team->memory, team_memory(team->size));
    free(team->members);
    behind_release(&team->behind);
    free(team);
}

int team_size(const struct team *team)
{
    return team->size;
}

static void wait_for_done(struct team *team, uint32_t count)
{
    for (int spin = 0; spin < team->spin; spin++) {
        if (atomic_load(&team->done) == count)
            return;
        pause_a_little();
    }
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->caller_sleeps, true);
    while (atomic_load(&team->done) != count)
        pthread_cond_wait(&team->finished, &team->lock);
    atomic_store(&team->caller_sleeps, false);
    pthread_mutex_unlock(&team->lock);
}

static void wake(struct team *team)
{
    if (atomic_load(&team->sleepers)) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->work);
        pthread_mutex_unlock(&team->lock);
    }
}

static void run_part(struct team *team, size_t base, uint32_t count, task_fn *task, void *ctx)
{
    atomic_store_explicit(&team->task, task, memory_order_relaxed);
    atomic_store_explicit(&team->ctx, ctx, memory_order_relaxed);
    atomic_store_explicit(&team->base, base, memory_order_relaxed);
    atomic_store_explicit(&team->count, count, memory_order_relaxed);
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    uint64_t run = (atomic_load(&team->ticket) >> 32) + 1;
    atomic_store(&team->ticket, run << 32 | count);
    wake(team);
    take(team, 0);
    wait_for_done(team, count);
}

void team_run(struct team *team, size_t tasks, task_fn *task, void *ctx)
{
    const size_t most = UINT32_MAX / 2;
    if (tasks == 1 || team->size == 1) {
        for (size_t i = 0; i < tasks; i++)
            task(ctx, i, 0);
        return;
    }
    for (size_t base = 0; base < tasks; base += most)
        run_part(team, base, (uint32_t)(tasks - base < most ? tasks - base : most), task, ctx);
}

/* --- behind the runs ---------------------------------------------------------------- */
struct need { struct behind *list; size_t from; };

static void need_task(void *ctx, size_t i, int worker)
{
    const struct need *n = ctx;
    behind_claim(n->list, n->from + i, worker);
}

void team_need(struct team *team, size_t from, size_t to)
{
    from = behind_open(&team->behind, from, to);
    if (from == to)
        return;
    team_run(team, to - from, need_task, &(struct need){&team->behind, from});
    behind_wait(&team->behind, from, to);       /* for those that others had begun */
}

void team_behind_end(struct team *team)
{
    team_need(team, 0, atomic_load(&team->behind.count));
    behind_end(&team->behind);
}

int team_behind(struct team *team, size_t tasks, task_fn *task, void *ctx)
{
    team_behind_end(team);
    if (behind_begin(&team->behind, tasks, task, ctx) < 0)
        return -1;
    wake(team);
    return 0;
}
