/* libcommon/stream/lp1/lease.c - HEAD's units and who holds them: the ring, the workers' lists, handing out */
#include <stdio.h>
#include <string.h>

#include "libcommon/stream/lp1/head_impl.h"

struct slot *head_slot_of(struct lp1_head *h, uint64_t q) { return &h->ring[q % LP1_WINDOW]; }

void head_slot_turn(struct lp1_head *h, struct slot *s, enum state to)
{
    if (s->state == QUEUED)
        h->queued -= s->unit.n;
    s->state = to;
    if (to == QUEUED)
        h->queued += s->unit.n;
}

void head_slot_empty(struct lp1_head *h, struct slot *s, enum state then)
{
    head_slot_turn(h, s, then);
    if (s->unit.body) {
        h->out.body_free(h->out.ctx, s->unit.body);
        h->bytes -= s->unit.n;
    }
    *s = (struct slot){ .state = then };
}

/* --- sending -------------------------------------------------------------------- */

struct lp1_message *head_message(struct lp1_head *h, enum lp1_type t, uint64_t to)
{
    lp1_message_init(&h->m, t, h->from, to);
    return &h->m;
}

bool head_session_send(struct lp1_head *h, struct lp1_session *s)
{
    s->said = h->now;
    if (!s->lost && !h->out.send(h->out.ctx, s->peer, &h->m))
        s->lost = true;
    return !s->lost;
}

void head_tail_send(struct lp1_head *h)
{
    h->tail_said = h->now;
    if (h->tail_peer && !h->out.send(h->out.ctx, h->tail_peer, &h->m))
        h->tail_peer = 0;
}

void head_reject(struct lp1_head *h, uint64_t peer, uint64_t to, enum lp1_code code, const char *text)
{
    struct lp1_message *m = head_message(h, LP1_REJECT, to);
    m->code = code;
    snprintf(m->text, sizeof m->text, "%s", text);
    (void)h->out.send(h->out.ctx, peer, m);
}

void head_eos_make(struct lp1_head *h, uint64_t to)
{
    struct lp1_message *m = head_message(h, LP1_EOS, to);
    m->total = h->total;
    m->final = h->complete;
}

void head_welcome_make(struct lp1_head *h, uint64_t to)
{
    struct lp1_message *m = head_message(h, LP1_WELCOME, to);
    memcpy(m->run, h->run, 16);
    m->header = h->header;
}

/* --- leases --------------------------------------------------------------------- */

/* Made, and not acknowledged. */
static bool awaited(const struct lp1_head *h, uint64_t q) { return q >= h->base && q < h->pos; }

static void queue_again(struct lp1_head *h, uint64_t q)
{
    head_slot_turn(h, head_slot_of(h, q), QUEUED);
    h->requeued++;
    if (q < h->scan)
        h->scan = q;
}

/* One entry of a worker's list is gone; delivered: its result is at the present TAIL. */
void head_held_end(struct lp1_head *h, struct lp1_held held, bool delivered)
{
    if (!held.live) {
        h->stale--;
        return;
    }
    struct slot *s = head_slot_of(h, held.q);
    if (!awaited(h, held.q) || s->state != LEASED)
        return;
    s->holders--;
    if (delivered)
        head_slot_turn(h, s, DELIVERED);
    else if (!s->holders)
        queue_again(h, held.q);
}

bool head_held_take(struct lp1_session *s, uint64_t q, struct lp1_held *held)
{
    for (size_t i = 0; i < s->nheld; i++)
        if (s->held[i].q == q) {
            *held = s->held[i];
            s->held[i] = s->held[--s->nheld];
            return true;
        }
    return false;
}

/* A worker says that it holds q: from now on, or since before. */
void head_held_add(struct lp1_head *h, struct lp1_session *s, uint64_t q)
{
    struct slot *u = head_slot_of(h, q);
    bool live = awaited(h, q) && (u->state == QUEUED || u->state == LEASED);
    if (live) {
        head_slot_turn(h, u, LEASED);
        u->holders++;
    } else {
        h->stale++;
    }
    s->held[s->nheld++] = (struct lp1_held){ q, live };
}

void head_session_end(struct lp1_head *h, struct lp1_session *s)
{
    for (size_t i = 0; i < s->nheld; i++)
        head_held_end(h, s->held[i], false);
    lp1_session_remove(&h->sessions, s);
}

static bool any_lost(const struct lp1_head *h)
{
    for (size_t i = 0; i < h->sessions.n; i++)
        if (h->sessions.at[i]->lost)
            return true;
    return false;
}

static void lost_end(struct lp1_head *h)
{
    for (size_t i = h->sessions.n; i-- > 0;)
        if (h->sessions.at[i]->lost)
            head_session_end(h, h->sessions.at[i]);
}

/* --- handing out ------------------------------------------------------------------ */

static bool has_slot(const struct lp1_session *s) { return !s->leaving && !s->lost && s->nheld < s->slots &&
                                                    s->nheld < LP1_LIST; }

static struct lp1_session *idlest(struct lp1_head *h)
{
    struct lp1_session *best = NULL;
    for (size_t i = 0; i < h->sessions.n; i++) {
        struct lp1_session *s = h->sessions.at[i];
        if (has_slot(s) && (!best || s->nheld < best->nheld))
            best = s;
    }
    return best;
}

/* What has gathered for one worker: its leases are made already. */
static void work_send(struct lp1_head *h, struct lp1_session *s)
{
    struct lp1_message *m = head_message(h, LP1_WORK, s->from);
    for (; m->nunit < s->ngiven; m->nunit++)
        m->unit[m->nunit] = head_slot_of(h, s->given[m->nunit])->unit;
    s->ngiven = 0;
    s->given_bytes = 0;
    if (m->nunit)
        head_session_send(h, s);
}

static void work_add(struct lp1_head *h, struct lp1_session *s, uint64_t q)
{
    uint64_t n = head_slot_of(h, q)->unit.n;
    if (!lp1_batch_fits(s->ngiven, s->given_bytes, n))
        work_send(h, s);
    s->given[s->ngiven++] = q;
    s->given_bytes += n;
    head_held_add(h, s, q);
}

/* The next to be handed out; false: none may be. */
static bool next_queued(struct lp1_head *h)
{
    if (h->scan < h->base)
        h->scan = h->base;
    while (h->scan < h->pos && head_slot_of(h, h->scan)->state != QUEUED)
        h->scan++;
    return h->tail_known && !h->complete && h->scan < h->pos && h->scan < h->limit;
}

void lp1_head_flush(struct lp1_head *h, double now)
{
    h->now = now;
    if (h->total_untold && h->tail_known) {
        head_eos_make(h, h->tail);
        head_tail_send(h);
    }
    h->total_untold = false;
    do {                                                /* again, if a worker was lost at it */
        lost_end(h);
        struct lp1_session *s;
        while (next_queued(h) && (s = idlest(h)))
            work_add(h, s, h->scan);
        for (size_t i = 0; i < h->sessions.n; i++)
            work_send(h, h->sessions.at[i]);
    } while (any_lost(h));
}

bool lp1_head_work_waits(const struct lp1_head *h)
{
    bool some = false;
    for (size_t i = 0; i < h->sessions.n && !some; i++)
        some = has_slot(h->sessions.at[i]);
    return some && h->tail_known && !h->complete && h->scan < h->pos && h->scan < h->limit;
}
