/* libcommon/stream/lp1/head.c - the HEAD of docs/protocol.7
 *
 * Units live in a ring over [base, base + LP1_WINDOW).  Each is queued, leased
 * to one worker or more, delivered (a FREE said so: the ACK is awaited) or done
 * (an ACK said so).  A worker's list may hold numbers that were never handed out
 * in this TAIL's time (not `live`): they become leases if their unit is made. */
#include "libcommon/stream/lp1/head_impl.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD = 16 << 20 };      /* bytes made before a worker has room for them: more would only leave the caches */

struct lp1_head *lp1_head_new(const uint8_t run[16], uint64_t incarnation, void *header, uint64_t bytes,
                              const struct lp1_head_out *out)
{
    struct lp1_head *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->out = *out;
    memcpy(h->run, run, 16);
    h->from = incarnation;
    h->header = header;
    h->budget = bytes;
    h->total = LP1_UNKNOWN;
    return h;
}

void lp1_head_free(struct lp1_head *h)
{
    if (!h)
        return;
    head_ring_empty(h, h->top);
    lp1_sessions_release(&h->sessions);
    free(h);
}

/* --- workers ------------------------------------------------------------------------ */

static void worker_hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    struct lp1_session *s = lp1_session_find(&h->sessions, peer), *old = lp1_session_of(&h->sessions, m->from);
    if (!s) {
        s = lp1_session_add(&h->sessions, peer, m->from, h->now);
        if (!s) {
            head_reject(h, peer, m->from, LP1_BUSY, "too many workers");
            return;
        }
        s->slots = m->slots;
        memcpy(s->host, m->text, sizeof s->host);
        for (size_t i = 0; i < m->nlist; i++) {         /* a number twice would be two leases of which one never ends */
            bool twice = false;
            for (size_t j = 0; j < i && !twice; j++)
                twice = m->list[j] == m->list[i];
            if (!twice)
                head_held_add(h, s, m->list[i]);
        }
        if (old)                                        /* after the new one's leases, so that those do not move */
            head_session_end(h, old);
    }
    head_welcome_make(h, m->from);
    head_session_send(h, s);
}

static void hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    static const uint8_t unknown[16];
    if (m->role == LP1_HEAD)
        head_reject(h, peer, m->from, LP1_BAD_ROLE, "a head cannot serve another");
    else if (memcmp(m->run, unknown, 16) && memcmp(m->run, h->run, 16))
        head_reject(h, peer, m->from, LP1_BAD_RUN, "this head serves another plan (manifest, seed or options differ)");
    else if (h->complete && m->role == LP1_WORKER) {
        head_eos_make(h, m->from);
        (void)h->out.send(h->out.ctx, peer, &h->m);
    } else if (m->role == LP1_WORKER)
        worker_hello(h, peer, m);
    else
        head_tail_hello(h, peer, m);
}

static void freed(struct lp1_head *h, struct lp1_session *s, const struct lp1_message *m)
{
    struct lp1_held held;
    bool delivered = m->t == LP1_FREE && m->ok && h->tail_known && m->tail == h->tail;
    for (size_t i = 0; i < m->nlist; i++)
        if (head_held_take(s, m->list[i], &held))
            head_held_end(h, held, delivered);
}

void lp1_head_message(struct lp1_head *h, uint64_t peer, const struct lp1_message *m, double now)
{
    h->now = now;
    struct lp1_session *s;
    if (m->t == LP1_HELLO) {
        hello(h, peer, m);
    } else if (peer == h->tail_peer && h->tail_peer && m->to == h->from && m->from == h->tail) {
        h->tail_heard = now;
        if (m->t == LP1_ACK) {
            head_ack(h, m);
        } else if (m->t == LP1_BYE && h->complete) {
            h->tail_peer = 0;
            h->tail_bye = true;
        }
    } else if ((s = lp1_session_find(&h->sessions, peer)) && m->to == h->from && m->from == s->from) {
        s->heard = now;
        if (m->t == LP1_FREE || m->t == LP1_BYE)
            freed(h, s, m);
        if (m->t == LP1_FREE)
            s->slots = m->slots;
        if (m->t == LP1_BEAT_MSG)
            s->done = m->done;
        if (m->t == LP1_BYE && h->complete)
            s->lost = true;
        else if (m->t == LP1_BYE)
            s->leaving = true;
    } else if (m->t != LP1_REJECT) {
        head_reject(h, peer, m->from, LP1_SESSION, "say hello first");
    }
}

void lp1_head_tick(struct lp1_head *h, double now)
{
    h->now = now;
    double paused = now - h->ticked > 2 * LP1_BEAT ? now - h->ticked : 0;       /* our own pause is not their silence */
    h->ticked = now;
    h->tail_heard += paused;
    for (size_t i = 0; i < h->sessions.n; i++) {
        struct lp1_session *s = h->sessions.at[i];
        s->heard += paused;
        if (now - s->heard > LP1_LOST) {
            s->lost = true;
        } else if (now - s->said >= LP1_BEAT) {
            if (h->complete)
                head_eos_make(h, s->from);
            else
                head_message(h, LP1_BEAT_MSG, s->from);
            head_session_send(h, s);
        }
    }
    if (h->tail_peer && now - h->tail_heard > LP1_LOST)
        h->tail_peer = 0;
    if (h->tail_peer && now - h->tail_said >= LP1_BEAT) {
        if (h->complete)
            head_eos_make(h, h->tail);
        else
            head_message(h, LP1_BEAT_MSG, h->tail);
        head_tail_send(h);
    }
}

/* --- the source ----------------------------------------------------------------------- */

bool lp1_head_wants(const struct lp1_head *h, uint64_t *q)
{
    *q = h->pos;
    return h->tail_known && !h->complete && h->pos < h->total && h->pos < h->limit && h->pos - h->base < LP1_WINDOW &&
           h->queued < AHEAD && (h->bytes < h->budget || h->pos == h->base);
}

/* Workers that hold q since before this TAIL's time, or HEAD's: now it is a lease. */
static void stale_meet(struct lp1_head *h, struct slot *at, uint64_t q)
{
    for (size_t i = 0; i < h->sessions.n; i++) {
        struct lp1_session *s = h->sessions.at[i];
        for (size_t j = 0; j < s->nheld; j++)
            if (s->held[j].q == q && !s->held[j].live) {
                s->held[j].live = true;
                h->stale--;
                head_slot_turn(h, at, LEASED);
                at->holders++;
            }
    }
}

void lp1_head_put(struct lp1_head *h, const struct lp1_unit *u)
{
    struct slot *at = head_slot_of(h, u->q);
    bool inside = h->tail_known && u->q == h->pos && u->q - h->base < LP1_WINDOW;
    if (!inside || at->state == DONE) {
        h->out.body_free(h->out.ctx, u->body);          /* the TAIL has it, or asked for another meanwhile */
        h->pos += inside;
        return;
    }
    *at = (struct slot){ .unit = *u };
    head_slot_turn(h, at, QUEUED);
    h->bytes += u->n;
    h->pos++;
    if (h->top < h->pos)
        h->top = h->pos;
    if (h->stale)
        stale_meet(h, at, u->q);
}

void lp1_head_total(struct lp1_head *h, uint64_t total)
{
    if (h->total != LP1_UNKNOWN)
        return;
    h->total = total;
    h->total_untold = true;                             /* the next flush does: sockets are the flusher's */
}

bool lp1_head_complete(const struct lp1_head *h) { return h->complete; }

bool lp1_head_finished(const struct lp1_head *h)
{
    bool alone = !h->sessions.n && h->tail_bye;
    return h->complete && h->now - h->completed_at >= (alone ? LP1_LATE : LP1_LINGER);
}

void lp1_head_state(const struct lp1_head *h, struct lp1_head_state *s)
{
    *s = (struct lp1_head_state){ .tail = h->tail_peer != 0, .base = h->base, .pos = h->pos, .limit = h->limit,
                                  .commit = h->commit, .total = h->total, .workers = h->sessions.n,
                                      .requeued = h->requeued };
    for (size_t i = 0; i < h->sessions.n; i++) {
        s->slots += h->sessions.at[i]->slots;
        s->leased += h->sessions.at[i]->nheld;
    }
}
