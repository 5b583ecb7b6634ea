/* libcommon/plan/pool.c - units of a source made ahead of their turn by threads; see source.h
 *
 * A ring of slots: unit q lives in slot q % slots, from when a thread takes it on
 * until the taker asks for the one after it.  Units may be tiny, so that waking
 * somebody costs more than making one: threads that found the ring full sleep
 * until half of it is free, and the taker is woken only for the unit it waits for. */
#include <pthread.h>
#include <stdlib.h>

#include "libcommon/plan/source.h"

#define POOL_SLOTS(jobs) (2 * (jobs) + 64)

enum slot_state { EMPTY, MAKING, READY };

struct slot {
    enum slot_state state;
    int result;
    uint64_t q;
    size_t bytes;               /* counted in the pool's */
    struct unit unit;
    struct error error;
};

struct source_pool {
    const struct source *source;
    pthread_mutex_t lock;
    pthread_cond_t made, space;     /* the taker waits; the threads wait */
    uint64_t next, take_on;     /* next to be delivered; next to be made */
    size_t bytes;               /* of units that are ready, or reserved by those being made */
    size_t reserving;           /* threads that wait to reserve */
    bool holding, closing;      /* slot next - 1 is with the taker */
    size_t n_slots, n_threads;
    struct slot *slot;
    pthread_t *thread;
};

/* What the thread is making. */
static _Thread_local struct { struct source_pool *pool; struct slot *slot; } at_work;

void source_reserve(size_t bytes)
{
    struct source_pool *p = at_work.pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->reserving++;
    while (!p->closing && at_work.slot->q != p->next && p->bytes && p->bytes + bytes > POOL_BYTES)
        pthread_cond_wait(&p->space, &p->lock);
    p->reserving--;
    p->bytes += bytes;
    at_work.slot->bytes += bytes;
    pthread_mutex_unlock(&p->lock);
}

static size_t unit_bytes(const struct unit *u)
{
    size_t n = 0;
    for (uint32_t i = 0; i < u->k; i++)
        for (size_t f = 0; f < u->sample[i].n; f++)
            n += u->sample[i].field[f].value.size;
    return n;
}

/* May a thread take on the next unit?  The one that is waited for always. */
static bool room(const struct source_pool *p)
{
    if (p->take_on >= p->source->units || p->slot[p->take_on % p->n_slots].state != EMPTY)
        return false;
    return p->take_on == p->next || p->bytes < POOL_BYTES;
}

static void *make_units(void *arg)
{
    struct source_pool *p = arg;
    at_work.pool = p;
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        if (!room(p)) {
            pthread_cond_wait(&p->space, &p->lock);
            continue;
        }
        uint64_t q = p->take_on++;
        struct slot *s = &p->slot[q % p->n_slots];
        s->state = MAKING;
        s->q = q;
        s->bytes = 0;
        pthread_mutex_unlock(&p->lock);
        at_work.slot = s;
        s->result = p->source->unit(p->source->ctx, q, &s->unit, &s->error);
        size_t bytes = s->result < 0 ? 0 : unit_bytes(&s->unit);
        pthread_mutex_lock(&p->lock);
        s->state = READY;
        p->bytes += bytes - s->bytes;
        s->bytes = bytes;
        if (q == p->next)
            pthread_cond_signal(&p->made);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct source_pool *source_pool_open(const struct source *s, uint64_t start, int64_t jobs, struct error *e)
{
    struct source_pool *p = calloc(1, sizeof *p);
    size_t n = jobs < 1 ? 1 : (size_t)jobs;
    if (p) {
        p->slot = calloc(POOL_SLOTS(n), sizeof *p->slot);
        p->thread = calloc(n, sizeof *p->thread);
    }
    if (!p || !p->slot || !p->thread) {
        error_memory(e);
        if (p) {
            free(p->slot);
            free(p->thread);
        }
        free(p);
        return NULL;
    }
    p->source = s;
    p->next = p->take_on = start;
    p->n_slots = POOL_SLOTS(n);
    for (size_t i = 0; i < p->n_slots; i++)
        unit_init(&p->slot[i].unit);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->made, NULL);
    pthread_cond_init(&p->space, NULL);
    for (; p->n_threads < n; p->n_threads++)
        if (pthread_create(&p->thread[p->n_threads], NULL, make_units, p) != 0)
            break;
    if (p->n_threads == 0) {
        error_set(e, STATUS_AGAIN, "cannot start a thread");
        source_pool_close(p);
        return NULL;
    }
    return p;
}

/* The taker is done with the unit it holds. */
static void held_release(struct source_pool *p)
{
    struct slot *held = &p->slot[(p->next - 1) % p->n_slots];
    held->state = EMPTY;
    p->bytes -= held->bytes;
    p->holding = false;
    bool half = p->take_on - p->next <= p->n_slots / 2 && p->bytes <= POOL_BYTES / 2;
    if (half || p->reserving || p->slot[p->next % p->n_slots].state == EMPTY)
        pthread_cond_broadcast(&p->space);
}

int source_pool_next(struct source_pool *p, struct unit **u, struct error *e)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    if (p->holding)
        held_release(p);
    if (p->next < p->source->units) {
        struct slot *s = &p->slot[p->next % p->n_slots];
        while (s->state != READY)
            pthread_cond_wait(&p->made, &p->lock);
        *u = &s->unit;
        if (s->result < 0 && e)
            *e = s->error;
        r = s->result < 0 ? -1 : 1;
        p->next++;
        p->holding = true;
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

void source_pool_close(struct source_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->space);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n_threads; i++)
        pthread_join(p->thread[i], NULL);
    for (size_t i = 0; i < p->n_slots; i++)
        unit_release(&p->slot[i].unit);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->made);
    pthread_cond_destroy(&p->space);
    free(p->slot);
    free(p->thread);
    free(p);
}
