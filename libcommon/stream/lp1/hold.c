/* libcommon/stream/lp1/hold.c - what a worker holds: units, results for a TAIL, slots that HEAD may fill again */
#include <string.h>

#include "libcommon/stream/lp1/worker_impl.h"

/* How deep the queue of a quick worker may be: what it does in so many seconds, in so many bytes. */
#define DEEP_SECONDS 0.1
#define PACE_SECONDS 0.05
enum { DEEP_BYTES = 16 << 20, AVERAGE = 32 };

struct held *held_find(struct lp1_worker *w, uint64_t q)
{
    for (size_t i = 0; i < w->nheld; i++)
        if (w->q[i] == q)
            return &w->held[i];
    return NULL;
}

struct held *held_add(struct lp1_worker *w, const struct lp1_unit *u)
{
    w->q[w->nheld] = u->q;
    w->held[w->nheld] = (struct held){ .unit = { .q = u->q, .e = u->e } };
    return &w->held[w->nheld++];
}

void held_remove(struct lp1_worker *w, struct held *h)
{
    size_t i = (size_t)(h - w->held);
    if (h->unit.body)
        w->out.body_free(w->out.ctx, h->unit.body);
    w->noffered -= h->offered;
    *h = w->held[--w->nheld];
    w->q[i] = w->q[w->nheld];
}

/* --- results --------------------------------------------------------------------- */

void made_add(struct lp1_worker *w, uint64_t q)
{
    if (w->link[LP1_DOWN].up && w->nmade < LP1_LIST)
        w->made[w->nmade++] = q;
}

void made_all(struct lp1_worker *w)
{
    w->nmade = 0;
    for (size_t i = 0; i < w->nheld; i++)
        if (w->held[i].offered)
            made_add(w, w->q[i]);
}

static void made_send(struct lp1_worker *w)
{
    if (w->m.nunit && w->link[LP1_DOWN].up && !worker_send(w, LP1_DOWN))
        w->link[LP1_DOWN].up = false;
}

void made_flush(struct lp1_worker *w)
{
    uint64_t bytes = 0;
    if (!w->nmade)
        return;
    worker_message(w, LP1_DOWN, LP1_DATA);
    for (size_t i = 0; i < w->nmade && w->link[LP1_DOWN].up; i++) {
        const struct held *h = held_find(w, w->made[i]);
        if (!h)
            continue;
        if (!lp1_batch_fits(w->m.nunit, bytes, h->unit.n)) {
            made_send(w);
            worker_message(w, LP1_DOWN, LP1_DATA);
            bytes = 0;
        }
        w->m.unit[w->m.nunit++] = h->unit;
        bytes += h->unit.n;
    }
    made_send(w);
    w->nmade = 0;                       /* if the session is over: all is sent again in the next */
}

/* --- slots ------------------------------------------------------------------------- */

void size_note(struct lp1_worker *w, uint64_t n) { w->size += ((double)n - w->size) / AVERAGE; }

/* As many as are done in a moment, so that a quick worker is not kept waiting by the way there and back,
 * and a slow one does not keep from others what they could do. */
static void slots_set(struct lp1_worker *w)
{
    if (w->now - w->paced < PACE_SECONDS)
        return;
    double want = DEEP_SECONDS * (double)(w->done - w->paced_done) / (w->now - w->paced), most = DEEP_BYTES / (w->size + 1);
    want = want < most ? want : most;
    w->slots = want > LP1_LIST ? LP1_LIST : want > (double)w->least ? (uint64_t)want : w->least;
    w->paced = w->now;
    w->paced_done = w->done;
}

/* A long queue may wait for its tail to be filled in one go. */
static bool enough_to_do(const struct lp1_worker *w)
{
    size_t running = w->nheld - w->noffered;
    return w->slots > w->least && running >= w->slots / 2 && running >= w->least && w->nfree[0] + w->nfree[1] < LP1_BATCH;
}

/* Kept while there is no session: HEAD may hold us to the list of a HELLO that was sent before. */
void free_flush(struct lp1_worker *w, bool at_once)
{
    if (!w->link[LP1_UP].up || !(w->nfree[0] + w->nfree[1]) || (!at_once && enough_to_do(w)))
        return;
    slots_set(w);
    for (uint64_t good = 0; good < 2; good++) {
        if (!w->nfree[good])
            continue;
        struct lp1_message *m = worker_message(w, LP1_UP, LP1_FREE);
        m->ok = good;
        m->tail = w->freed_tail;
        m->slots = w->slots;
        m->nlist = w->nfree[good];
        memcpy(m->list, w->freed[good], m->nlist * sizeof *m->list);
        w->nfree[good] = 0;
        worker_send(w, LP1_UP);
    }
}

void free_add(struct lp1_worker *w, uint64_t q, uint64_t good)
{
    bool other = good && w->nfree[1] && w->freed_tail != w->link[LP1_DOWN].peer;
    if (w->nfree[good] == LP1_LIST || other)
        free_flush(w, true);
    while (other && w->nfree[1] && w->nfree[0] < LP1_LIST)      /* what an older TAIL had: hand it out again */
        w->freed[0][w->nfree[0]++] = w->freed[1][--w->nfree[1]];
    if (good)
        w->freed_tail = w->link[LP1_DOWN].peer;
    if (w->nfree[good] < LP1_LIST)
        w->freed[good][w->nfree[good]++] = q;
}
