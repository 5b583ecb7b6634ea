/* libcommon/stream/lp1/accept.c - the TAIL's workers: their sessions, what is accepted from them, what they are told */
#include <stdio.h>
#include <string.h>

#include "libcommon/stream/lp1/tail_impl.h"

void tail_session_send(struct lp1_tail *t, struct lp1_session *s)
{
    s->said = t->now;
    if (!s->lost && !t->out.send_worker(t->out.ctx, s->peer, &t->m))
        s->lost = true;
}

static void reject(struct lp1_tail *t, uint64_t peer, uint64_t to, enum lp1_code code, const char *text)
{
    lp1_message_init(&t->m, LP1_REJECT, t->from, to);
    t->m.code = code;
    snprintf(t->m.text, sizeof t->m.text, "%s", text);
    (void)t->out.send_worker(t->out.ctx, peer, &t->m);
}

static void list_send(struct lp1_tail *t, struct lp1_session *s, int good)
{
    if (!s->nrecv[good])
        return;
    lp1_message_init(&t->m, LP1_RECV, t->from, s->from);
    t->m.ok = (uint64_t)good;
    t->m.nlist = s->nrecv[good];
    memcpy(t->m.list, s->recv[good], s->nrecv[good] * sizeof *t->m.list);
    s->nrecv[good] = 0;
    tail_session_send(t, s);
}

void tail_recv_send(struct lp1_tail *t, struct lp1_session *s)
{
    for (int good = 0; good < 2; good++)
        list_send(t, s, good);
}

static void recv_add(struct lp1_tail *t, struct lp1_session *s, uint64_t q, int good)
{
    if (s->nrecv[good] == LP1_LIST)
        list_send(t, s, good);
    s->recv[good][s->nrecv[good]++] = q;
}

static void worker_hello(struct lp1_tail *t, uint64_t peer, const struct lp1_message *m)
{
    if (m->role != LP1_WORKER) {
        reject(t, peer, m->from, LP1_BAD_ROLE, "only workers speak to a consumer");
        return;
    }
    if (!t->run_known) {
        reject(t, peer, m->from, LP1_WAIT, "no head yet");
        return;
    }
    if (memcmp(m->run, t->run, 16)) {
        reject(t, peer, m->from, LP1_BAD_RUN, "the consumer works on another plan");
        return;
    }
    if (!m->header || !t->out.header(t->out.ctx, m->header)) {
        reject(t, peer, m->from, LP1_BAD_CONFIG,
               "other stages or settings than the workers that came before (the header differs)");
        return;
    }
    struct lp1_session *s = lp1_session_find(&t->sessions, peer), *old = lp1_session_of(&t->sessions, m->from);
    if (!s) {
        if (old)
            lp1_session_remove(&t->sessions, old);
        s = lp1_session_add(&t->sessions, peer, m->from, t->now);
        if (!s) {
            reject(t, peer, m->from, LP1_BUSY, "too many workers");
            return;
        }
        memcpy(s->host, m->text, sizeof s->host);
    }
    lp1_message_init(&t->m, LP1_WELCOME, t->from, m->from);
    memcpy(t->m.run, t->run, 16);
    tail_session_send(t, s);
}

/* The one that all wait for always has; others within the limit, the budget and the stream. */
static bool has_room(const struct lp1_tail *t, const struct lp1_unit *u)
{
    if (u->q - t->taken >= LP1_WINDOW || (t->total != LP1_UNKNOWN && u->q >= t->total))
        return false;
    return u->q == t->next || (u->q < tail_limit(t) && t->bytes + u->n <= t->budget);
}

/* Takes the body of what is kept. */
static void unit_accept(struct lp1_tail *t, struct lp1_session *s, struct lp1_unit *u)
{
    struct tail_slot *at = tail_slot_of(t, u->q);
    bool known = u->q < t->taken || (u->q < t->taken + LP1_WINDOW && at->held);
    if (u->n > t->biggest)
        t->biggest = u->n;
    if (known) {
        if (u->q >= t->taken && at->unit.c != u->c)
            t->differing++;
        t->duplicates++;
        recv_add(t, s, u->q, 1);
    } else if (!u->body || !has_room(t, u)) {
        t->refused++;
        t->dirty = t->urgent = true;                    /* the limit may have come down */
        recv_add(t, s, u->q, 0);
    } else {
        *at = (struct tail_slot){ .held = true, .unit = *u };
        u->body = NULL;
        t->bytes += u->n;
        t->held++;
        if (u->q >= t->top)
            t->top = u->q + 1;
        while (t->next < t->top && tail_slot_of(t, t->next)->held)
            t->next++;
        t->dirty = true;
        recv_add(t, s, u->q, 1);
    }
}

void lp1_tail_from_worker(struct lp1_tail *t, uint64_t peer, struct lp1_message *m, double now)
{
    struct lp1_session *s;
    t->now = now;
    if (m->t == LP1_HELLO) {
        worker_hello(t, peer, m);
    } else if ((s = lp1_session_find(&t->sessions, peer)) && m->to == t->from && m->from == s->from) {
        s->heard = now;
        for (size_t i = 0; m->t == LP1_DATA && i < m->nunit; i++)
            unit_accept(t, s, &m->unit[i]);
        if (m->t == LP1_BEAT_MSG)
            s->done = m->done;
        if (m->t == LP1_BYE)
            s->lost = true;
    } else if (m->t != LP1_REJECT) {
        reject(t, peer, m->from, LP1_SESSION, "say hello first");
    }
}
