/* libcommon/stream/lp1/head.c - the HEAD of docs/protocol.7
 *
 * Units live in a ring over [base, base + LP1_WINDOW).  Each is queued, leased
 * to one worker or more, delivered (a FREE said so: the ACK is awaited) or done
 * (an ACK said so).  A worker's list may hold numbers that were never handed out
 * in this TAIL's time (not `live`): they become leases if their unit is made. */
#include "libcommon/stream/lp1/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/lp1/session.h"

enum state { ABSENT, QUEUED, LEASED, DELIVERED, DONE };

struct slot {
    enum state state;
    uint32_t holders, c;
    uint64_t e, k, n;
    void *body;
};

struct lp1_head {
    struct lp1_head_out out;
    uint8_t run[16];
    uint64_t from, budget, bytes;
    void *header;
    struct lp1_sessions sessions;
    size_t stale;                       /* entries of sessions that are not live */

    bool tail_known, tail_bye, tail_final;
    uint64_t tail_peer, tail;           /* connection (0: lost), incarnation */
    double tail_heard, tail_said;
    uint64_t base, pos, scan, top, limit, commit, total, requeued;     /* top: above all that the ring marks */
    bool complete;
    double leave_at, now, ticked;
    struct slot ring[LP1_WINDOW];
    struct lp1_message m;               /* being sent */
};

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

static struct slot *slot_of(struct lp1_head *h, uint64_t q) { return &h->ring[q % LP1_WINDOW]; }

static void slot_empty(struct lp1_head *h, struct slot *s, enum state then)
{
    if (s->body) {
        h->out.body_free(h->out.ctx, s->body);
        h->bytes -= s->n;
    }
    *s = (struct slot){ .state = then };
}

/* All of the ring below `end`. */
static void ring_empty(struct lp1_head *h, uint64_t end)
{
    for (uint64_t q = h->base; q < end && q < h->top; q++)
        slot_empty(h, slot_of(h, q), ABSENT);
}

void lp1_head_free(struct lp1_head *h)
{
    if (!h)
        return;
    ring_empty(h, h->top);
    lp1_sessions_release(&h->sessions);
    free(h);
}

/* --- sending -------------------------------------------------------------------- */

static struct lp1_message *message(struct lp1_head *h, enum lp1_type t, uint64_t to)
{
    lp1_message_init(&h->m, t, h->from, to);
    return &h->m;
}

static bool session_send(struct lp1_head *h, struct lp1_session *s, void *body)
{
    s->said = h->now;
    if (!s->lost && !h->out.send(h->out.ctx, s->peer, &h->m, body))
        s->lost = true;
    return !s->lost;
}

static void tail_send(struct lp1_head *h, void *body)
{
    h->tail_said = h->now;
    if (h->tail_peer && !h->out.send(h->out.ctx, h->tail_peer, &h->m, body))
        h->tail_peer = 0;
}

static void reject(struct lp1_head *h, uint64_t peer, uint64_t to, enum lp1_code code, const char *text)
{
    struct lp1_message *m = message(h, LP1_REJECT, to);
    m->code = code;
    snprintf(m->text, sizeof m->text, "%s", text);
    (void)h->out.send(h->out.ctx, peer, m, NULL);
}

static void eos_make(struct lp1_head *h, uint64_t to)
{
    struct lp1_message *m = message(h, LP1_EOS, to);
    m->total = h->total;
    m->final = h->complete;
}

/* --- leases --------------------------------------------------------------------- */

static bool awaited(const struct lp1_head *h, uint64_t q) { return q >= h->base && q < h->pos; }

static void queue_again(struct lp1_head *h, uint64_t q)
{
    slot_of(h, q)->state = QUEUED;
    h->requeued++;
    if (q < h->scan)
        h->scan = q;
}

/* One entry of a worker's list is gone; delivered: its result is at the present TAIL. */
static void held_end(struct lp1_head *h, struct lp1_held held, bool delivered)
{
    if (!held.live) {
        h->stale--;
        return;
    }
    struct slot *s = slot_of(h, held.q);
    if (!awaited(h, held.q) || s->state != LEASED)
        return;
    s->holders--;
    if (delivered)
        s->state = DELIVERED;
    else if (!s->holders)
        queue_again(h, held.q);
}

static bool held_take(struct lp1_session *s, uint64_t q, struct lp1_held *held)
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
static void held_add(struct lp1_head *h, struct lp1_session *s, uint64_t q)
{
    struct slot *u = slot_of(h, q);
    bool live = awaited(h, q) && (u->state == QUEUED || u->state == LEASED);
    if (live) {
        u->state = LEASED;
        u->holders++;
    } else {
        h->stale++;
    }
    s->held[s->nheld++] = (struct lp1_held){ q, live };
}

static void session_end(struct lp1_head *h, struct lp1_session *s)
{
    for (size_t i = 0; i < s->nheld; i++)
        held_end(h, s->held[i], false);
    lp1_session_remove(&h->sessions, s);
}

static void lost_end(struct lp1_head *h)
{
    for (size_t i = h->sessions.n; i-- > 0;)
        if (h->sessions.at[i]->lost)
            session_end(h, h->sessions.at[i]);
}

/* --- handing out ------------------------------------------------------------------ */

static struct lp1_session *idlest(struct lp1_head *h)
{
    struct lp1_session *best = NULL;
    for (size_t i = 0; i < h->sessions.n; i++) {
        struct lp1_session *s = h->sessions.at[i];
        if (!s->leaving && !s->lost && s->nheld < s->slots && (!best || s->nheld < best->nheld))
            best = s;
    }
    return best;
}

static void work_send(struct lp1_head *h, struct lp1_session *s, uint64_t q)
{
    struct slot *u = slot_of(h, q);
    struct lp1_message *m = message(h, LP1_WORK, s->from);
    m->q = q;
    m->e = u->e;
    m->k = u->k;
    m->n = u->n;
    m->c = u->c;
    held_add(h, s, q);
    session_send(h, s, u->body);
}

static void dispatch(struct lp1_head *h)
{
    for (;;) {
        lost_end(h);
        if (h->scan < h->base)
            h->scan = h->base;
        while (h->scan < h->pos && slot_of(h, h->scan)->state != QUEUED)
            h->scan++;
        if (!h->tail_known || h->complete || h->scan >= h->pos || h->scan >= h->limit)
            return;
        struct lp1_session *s = idlest(h);
        if (!s)
            return;
        work_send(h, s, h->scan);
    }
}

/* --- the TAIL ----------------------------------------------------------------------- */

/* A new TAIL: nothing that was said to an older one counts. */
static void forget(struct lp1_head *h, uint64_t next)
{
    ring_empty(h, h->top);
    h->stale = 0;
    for (size_t i = 0; i < h->sessions.n; i++)
        for (size_t j = 0; j < h->sessions.at[i]->nheld; j++, h->stale++)
            h->sessions.at[i]->held[j].live = false;
    h->base = h->pos = h->scan = h->top = next;
    h->commit = 0;
}

static void complete_check(struct lp1_head *h)
{
    if (h->complete || !h->tail_final)
        return;
    h->complete = true;
    h->leave_at = h->now + LP1_LINGER;
    for (size_t i = 0; i < h->sessions.n; i++) {
        eos_make(h, h->sessions.at[i]->from);
        session_send(h, h->sessions.at[i], NULL);
    }
    eos_make(h, h->tail);
    tail_send(h, NULL);
}

static void ack(struct lp1_head *h, const struct lp1_message *m)
{
    if (m->next > h->base) {
        ring_empty(h, m->next);
        h->base = m->next;
        if (h->pos < h->base)
            h->pos = h->base;
        if (h->top < h->base)
            h->top = h->base;
    }
    for (size_t i = 0; i < m->nsack; i++) {
        uint64_t lo = m->sack[i].lo > h->base ? m->sack[i].lo : h->base;
        uint64_t top = h->base + LP1_WINDOW, hi = m->sack[i].hi < top ? m->sack[i].hi : top;
        for (uint64_t q = lo; q < hi; q++)
            if (slot_of(h, q)->state != DONE)
                slot_empty(h, slot_of(h, q), DONE);
        if (lo < hi && hi > h->top)
            h->top = hi;
    }
    h->limit = m->limit;
    if (m->commit > h->commit)
        h->commit = m->commit;
    h->tail_final = m->final;
    complete_check(h);
}

static void tail_hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    if (h->tail_known && m->from < h->tail) {
        reject(h, peer, m->from, LP1_FENCED, "a newer consumer has taken over this run");
        return;
    }
    if (h->total != LP1_UNKNOWN && m->next > h->total) {
        reject(h, peer, m->from, LP1_BAD_RUN, "the consumer is further than this plan goes");
        return;
    }
    if (h->tail_known && m->from > h->tail && h->tail_peer && h->tail_peer != peer)
        reject(h, h->tail_peer, h->tail, LP1_FENCED, "a newer consumer has taken over this run");
    if (!h->tail_known || m->from > h->tail)
        forget(h, m->next);
    h->tail_known = true;
    h->tail = m->from;
    h->tail_peer = peer;
    h->tail_heard = h->now;
    memcpy(message(h, LP1_WELCOME, m->from)->run, h->run, 16);
    tail_send(h, h->header);
    if (h->total != LP1_UNKNOWN) {
        eos_make(h, h->tail);
        tail_send(h, NULL);
    }
    ack(h, m);
}

/* --- workers ------------------------------------------------------------------------ */

static void worker_hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    struct lp1_session *s = lp1_session_find(&h->sessions, peer), *old = lp1_session_of(&h->sessions, m->from);
    if (!s) {
        s = lp1_session_add(&h->sessions, peer, m->from, h->now);
        if (!s) {
            reject(h, peer, m->from, LP1_BUSY, "too many workers");
            return;
        }
        s->slots = m->slots;
        memcpy(s->host, m->text, sizeof s->host);
        for (size_t i = 0; i < m->nlist; i++) {         /* a number twice would be two leases of which one never ends */
            bool twice = false;
            for (size_t j = 0; j < i && !twice; j++)
                twice = m->list[j] == m->list[i];
            if (!twice)
                held_add(h, s, m->list[i]);
        }
        if (old)                                        /* after the new one's leases, so that those do not move */
            session_end(h, old);
    }
    memcpy(message(h, LP1_WELCOME, m->from)->run, h->run, 16);
    session_send(h, s, h->header);
}

static void hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    static const uint8_t unknown[16];
    if (m->role == LP1_HEAD)
        reject(h, peer, m->from, LP1_BAD_ROLE, "a head cannot serve another");
    else if (memcmp(m->run, unknown, 16) && memcmp(m->run, h->run, 16))
        reject(h, peer, m->from, LP1_BAD_RUN, "this head serves another plan (manifest, seed or options differ)");
    else if (h->complete && m->role == LP1_WORKER) {
        eos_make(h, m->from);
        (void)h->out.send(h->out.ctx, peer, &h->m, NULL);
    } else if (m->role == LP1_WORKER)
        worker_hello(h, peer, m);
    else
        tail_hello(h, peer, m);
}

static void freed(struct lp1_head *h, struct lp1_session *s, const struct lp1_message *m)
{
    struct lp1_held held;
    bool delivered = m->t == LP1_FREE && m->ok && h->tail_known && m->tail == h->tail;
    for (size_t i = 0; i < m->nlist; i++)
        if (held_take(s, m->list[i], &held))
            held_end(h, held, delivered);
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
            ack(h, m);
        } else if (m->t == LP1_BYE && h->complete) {
            h->tail_peer = 0;
            h->tail_bye = true;
        }
    } else if ((s = lp1_session_find(&h->sessions, peer)) && m->to == h->from && m->from == s->from) {
        s->heard = now;
        if (m->t == LP1_FREE || m->t == LP1_BYE)
            freed(h, s, m);
        if (m->t == LP1_BEAT_MSG)
            s->done = m->done;
        if (m->t == LP1_BYE && h->complete)
            s->lost = true;
        else if (m->t == LP1_BYE)
            s->leaving = true;
    } else if (m->t != LP1_REJECT) {
        reject(h, peer, m->from, LP1_SESSION, "say hello first");
    }
    dispatch(h);
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
                eos_make(h, s->from);
            else
                message(h, LP1_BEAT_MSG, s->from);
            session_send(h, s, NULL);
        }
    }
    if (h->tail_peer && now - h->tail_heard > LP1_LOST)
        h->tail_peer = 0;
    if (h->tail_peer && now - h->tail_said >= LP1_BEAT) {
        if (h->complete)
            eos_make(h, h->tail);
        else
            message(h, LP1_BEAT_MSG, h->tail);
        tail_send(h, NULL);
    }
    dispatch(h);
}

/* --- the source ----------------------------------------------------------------------- */

bool lp1_head_wants(const struct lp1_head *h, uint64_t *q)
{
    *q = h->pos;
    return h->tail_known && !h->complete && h->pos < h->total && h->pos < h->limit && h->pos - h->base < LP1_WINDOW &&
           (h->bytes < h->budget || h->pos == h->base);
}

void lp1_head_put(struct lp1_head *h, uint64_t q, uint64_t epoch, uint64_t samples, uint64_t n, uint32_t crc, void *body,
                  double now)
{
    h->now = now;
    struct slot *u = slot_of(h, q);
    if (q != h->pos || !h->tail_known || q - h->base >= LP1_WINDOW || u->state == DONE) {
        h->out.body_free(h->out.ctx, body);             /* the TAIL has it, or asked for another meanwhile */
        h->pos += q == h->pos && h->tail_known && q - h->base < LP1_WINDOW ? 1 : 0;
        return;
    }
    *u = (struct slot){ .state = QUEUED, .c = crc, .e = epoch, .k = samples, .n = n, .body = body };
    h->bytes += n;
    h->pos++;
    if (h->top < h->pos)
        h->top = h->pos;
    for (size_t i = 0; h->stale && i < h->sessions.n; i++) {
        struct lp1_session *s = h->sessions.at[i];
        for (size_t j = 0; j < s->nheld; j++)
            if (s->held[j].q == q && !s->held[j].live) {
                s->held[j].live = true;
                h->stale--;
                u->state = LEASED;
                u->holders++;
            }
    }
    dispatch(h);
}

void lp1_head_total(struct lp1_head *h, uint64_t total)
{
    if (h->total != LP1_UNKNOWN)
        return;
    h->total = total;
    eos_make(h, h->tail);
    if (h->tail_known)
        tail_send(h, NULL);
    complete_check(h);
}

bool lp1_head_complete(const struct lp1_head *h) { return h->complete; }

bool lp1_head_finished(const struct lp1_head *h)
{
    return h->complete && ((!h->sessions.n && h->tail_bye) || h->now >= h->leave_at);
}

void lp1_head_state(const struct lp1_head *h, struct lp1_head_state *s)
{
    *s = (struct lp1_head_state){ .tail = h->tail_peer != 0, .base = h->base, .pos = h->pos, .limit = h->limit,
                                  .commit = h->commit, .total = h->total, .workers = h->sessions.n, .requeued = h->requeued };
    for (size_t i = 0; i < h->sessions.n; i++) {
        s->slots += h->sessions.at[i]->slots;
        s->leased += h->sessions.at[i]->nheld;
    }
}
