/* libcommon/stream/lp1/tail.c - the TAIL of docs/protocol.7 */
#include "libcommon/stream/lp1/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/lp1/session.h"
#include "libcommon/sys/error.h"

enum { GUESS = 1 << 20 };               /* the size of a unit before any was seen */

struct slot {
    bool held;
    uint32_t c;
    uint64_t e, k, n;
    void *body;
};

struct lp1_tail {
    struct lp1_tail_out out;
    uint8_t run[16];
    uint64_t from, role, budget, bytes, biggest;
    struct lp1_sessions sessions;

    bool up;                            /* HEAD said WELCOME */
    bool run_known, dirty, final, head_final;
    uint64_t head;                      /* its incarnation */
    double head_heard, head_said, final_at, now, ticked;
    uint64_t taken, next, top, commit, total;       /* top: above all that is held */
    uint64_t duplicates, refused, differing;
    size_t held;
    int status;
    char fatal[LP1_TEXT + 64];
    struct slot ring[LP1_WINDOW];
    struct lp1_message m;
};

static bool zeros(const uint8_t run[16])
{
    static const uint8_t none[16];
    return !memcmp(run, none, 16);
}

struct lp1_tail *lp1_tail_new(const uint8_t run[16], uint64_t incarnation, uint64_t next, enum lp1_role role, uint64_t bytes,
                              const struct lp1_tail_out *out)
{
    struct lp1_tail *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->out = *out;
    memcpy(t->run, run, 16);
    t->run_known = !zeros(run);
    t->from = incarnation;
    t->role = role;
    t->budget = bytes;
    t->taken = t->next = t->top = t->commit = next;
    t->total = LP1_UNKNOWN;
    t->head_said = -LP1_BEAT;
    return t;
}

void lp1_tail_free(struct lp1_tail *t)
{
    if (!t)
        return;
    for (uint64_t q = t->taken; q < t->top; q++)
        if (t->ring[q % LP1_WINDOW].held)
            t->out.body_free(t->out.ctx, t->ring[q % LP1_WINDOW].body);
    lp1_sessions_release(&t->sessions);
    free(t);
}

/* What fits the budget at the size that units have had lately. */
static uint64_t limit_now(const struct lp1_tail *t)
{
    uint64_t window = t->budget / (t->biggest ? t->biggest : GUESS);
    if (window < 2)
        window = 2;
    return t->taken + (window < LP1_WINDOW ? window : LP1_WINDOW);
}

/* --- HEAD ------------------------------------------------------------------------- */

static void ack_fill(const struct lp1_tail *t, struct lp1_message *m)
{
    m->next = t->next;
    m->limit = limit_now(t);
    m->commit = t->commit;
    m->final = t->final;
    for (uint64_t q = t->next; m->t == LP1_ACK && q < t->top && m->nsack < LP1_RANGES; q++) {
        if (!t->ring[q % LP1_WINDOW].held)
            continue;
        if (m->nsack && m->sack[m->nsack - 1].hi == q)
            m->sack[m->nsack - 1].hi++;
        else
            m->sack[m->nsack++] = (struct lp1_range){ q, q + 1 };
    }
}

static void head_hello(struct lp1_tail *t)
{
    struct lp1_message *m = &t->m;
    lp1_message_init(m, LP1_HELLO, t->from, 0);
    m->role = t->role;
    memcpy(m->run, t->run, 16);
    ack_fill(t, m);
    t->up = false;
    t->head_said = t->now;
    if (!t->out.send_head(t->out.ctx, m))
        t->head_said = t->now - LP1_BEAT + 0.1;         /* nobody there yet: soon again */
}

static void head_ack(struct lp1_tail *t)
{
    lp1_message_init(&t->m, LP1_ACK, t->from, t->head);
    ack_fill(t, &t->m);
    t->head_said = t->now;
    t->dirty = !t->out.send_head(t->out.ctx, &t->m);
}

static void fail(struct lp1_tail *t, int status, const char *code, const char *text)
{
    if (t->status)
        return;
    t->status = status;
    snprintf(t->fatal, sizeof t->fatal, "%s (%s)", text, code);
}

static void welcome(struct lp1_tail *t, const struct lp1_message *m, void *body)
{
    if (t->run_known && memcmp(t->run, m->run, 16)) {
        fail(t, STATUS_BAD, "run", "the head serves another plan than this run was begun with");
        return;
    }
    memcpy(t->run, m->run, 16);
    t->run_known = t->up = t->dirty = true;
    t->head = m->from;
    if (body)
        t->out.head_header(t->out.ctx, body);
}

static void session_send(struct lp1_tail *t, struct lp1_session *s);

/* HEAD says that all is durable: answer, and tell the workers too. */
static void leave(struct lp1_tail *t)
{
    lp1_message_init(&t->m, LP1_BYE, t->from, t->head);
    (void)t->out.send_head(t->out.ctx, &t->m);
    for (size_t i = 0; !t->head_final && i < t->sessions.n; i++) {
        lp1_message_init(&t->m, LP1_EOS, t->from, t->sessions.at[i]->from);
        t->m.total = t->total;
        t->m.final = 1;
        session_send(t, t->sessions.at[i]);
    }
    t->head_final = true;
}

void lp1_tail_from_head(struct lp1_tail *t, const struct lp1_message *m, void *body, double now)
{
    t->now = now;
    if (m->to != t->from && !(m->t == LP1_REJECT && !m->to))       /* 0: it could not read who we are */
        return;
    t->head_heard = now;
    if (m->t == LP1_WELCOME) {
        welcome(t, m, body);
    } else if (m->t == LP1_REJECT && m->code <= LP1_BUSY) {
        t->up = false;
        t->head_said = now - LP1_BEAT + 0.1;            /* HELLO again, soon */
        if (m->code == LP1_SESSION)
            head_hello(t);
    } else if (m->t == LP1_REJECT) {
        fail(t, STATUS_BAD, lp1_code_name((enum lp1_code)m->code), *m->text ? m->text : "the head refuses");
    } else if (m->t == LP1_EOS && ((t->up && m->from == t->head) || (m->final && t->final))) {
        t->head = m->from;
        if (m->total < t->top)
            fail(t, STATUS_BAD, "run", "the head ends the stream before what it handed out");
        t->total = m->total;
        if (m->final)
            leave(t);
    }
}

/* --- workers ------------------------------------------------------------------------ */

static void session_send(struct lp1_tail *t, struct lp1_session *s)
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

static void recv_send(struct lp1_tail *t, struct lp1_session *s, int good)
{
    if (!s->nrecv[good])
        return;
    lp1_message_init(&t->m, LP1_RECV, t->from, s->from);
    t->m.ok = (uint64_t)good;
    t->m.nlist = s->nrecv[good];
    memcpy(t->m.list, s->recv[good], s->nrecv[good] * sizeof *t->m.list);
    s->nrecv[good] = 0;
    session_send(t, s);
}

static void recv_add(struct lp1_tail *t, struct lp1_session *s, uint64_t q, int good)
{
    if (s->nrecv[good] == LP1_LIST)
        recv_send(t, s, good);
    s->recv[good][s->nrecv[good]++] = q;
}

static void worker_hello(struct lp1_tail *t, uint64_t peer, const struct lp1_message *m, void *body)
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
    if (!body || !t->out.header(t->out.ctx, body)) {
        reject(t, peer, m->from, LP1_BAD_CONFIG, "other stages or settings than the workers that came before (the header differs)");
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
    session_send(t, s);
}

/* The one that all wait for always has; others within the limit, the budget and the stream. */
static bool has_room(const struct lp1_tail *t, const struct lp1_message *m)
{
    if (m->q - t->taken >= LP1_WINDOW || (t->total != LP1_UNKNOWN && m->q >= t->total))
        return false;
    return m->q == t->next || (m->q < limit_now(t) && t->bytes + m->n <= t->budget);
}

/* Takes body. */
static void data(struct lp1_tail *t, struct lp1_session *s, const struct lp1_message *m, void *body)
{
    struct slot *u = &t->ring[m->q % LP1_WINDOW];
    bool known = m->q < t->taken || (m->q < t->taken + LP1_WINDOW && u->held);
    if (m->n > t->biggest)
        t->biggest = m->n;
    if (known) {
        if (m->q >= t->taken && u->c != m->c)
            t->differing++;
        t->duplicates++;
        recv_add(t, s, m->q, 1);
    } else if (!has_room(t, m)) {
        t->refused++;
        t->dirty = true;                                /* the limit may have come down */
        recv_add(t, s, m->q, 0);
    } else {
        *u = (struct slot){ .held = true, .c = (uint32_t)m->c, .e = m->e, .k = m->k, .n = m->n, .body = body };
        t->bytes += m->n;
        t->held++;
        body = NULL;
        if (m->q >= t->top)
            t->top = m->q + 1;
        while (t->next < t->top && t->ring[t->next % LP1_WINDOW].held)
            t->next++;
        t->dirty = true;
        recv_add(t, s, m->q, 1);
    }
    if (body)
        t->out.body_free(t->out.ctx, body);
}

void lp1_tail_from_worker(struct lp1_tail *t, uint64_t peer, const struct lp1_message *m, void *body, double now)
{
    struct lp1_session *s;
    t->now = now;
    if (m->t == LP1_HELLO) {
        worker_hello(t, peer, m, body);
    } else if ((s = lp1_session_find(&t->sessions, peer)) && m->to == t->from && m->from == s->from) {
        s->heard = now;
        if (m->t == LP1_DATA && body) {
            data(t, s, m, body);
            return;
        }
        if (m->t == LP1_BEAT_MSG)
            s->done = m->done;
        if (m->t == LP1_BYE)
            s->lost = true;
    } else if (m->t != LP1_REJECT) {
        reject(t, peer, m->from, LP1_SESSION, "say hello first");
    }
    if (body)
        t->out.body_free(t->out.ctx, body);
}

void lp1_tail_damaged(struct lp1_tail *t, uint64_t peer, const struct lp1_message *m, double now)
{
    struct lp1_session *s = lp1_session_find(&t->sessions, peer);
    t->now = now;
    if (s && m->to == t->from && m->from == s->from) {
        s->heard = now;
        t->refused++;
        recv_add(t, s, m->q, 0);
    }
}

void lp1_tail_tick(struct lp1_tail *t, double now)
{
    t->now = now;
    double paused = now - t->ticked > 2 * LP1_BEAT ? now - t->ticked : 0;       /* our own pause is not their silence */
    t->ticked = now;
    t->head_heard += paused;
    if (t->final && t->final_at < 0)
        t->final_at = now;
    for (size_t i = t->sessions.n; i-- > 0;) {
        struct lp1_session *s = t->sessions.at[i];
        s->heard += paused;
        if (now - s->heard > LP1_LOST || s->lost) {
            lp1_session_remove(&t->sessions, s);
        } else if (now - s->said >= LP1_BEAT) {
            lp1_message_init(&t->m, t->head_final ? LP1_EOS : LP1_BEAT_MSG, t->from, s->from);
            t->m.total = t->total;
            t->m.final = t->head_final;
            session_send(t, s);
        }
    }
    if (now - t->head_heard > LP1_LOST) {
        t->up = false;
        t->head_heard = now;
        t->out.reset_head(t->out.ctx);
        head_hello(t);
    } else if (now - t->head_said >= LP1_BEAT) {
        if (t->up)
            head_ack(t);
        else
            head_hello(t);
    }
}

void lp1_tail_flush(struct lp1_tail *t, double now)
{
    t->now = now;
    for (size_t i = 0; i < t->sessions.n; i++)
        for (int good = 0; good < 2; good++)
            recv_send(t, t->sessions.at[i], good);
    if (t->dirty && t->up)
        head_ack(t);
}

/* --- the consumer -------------------------------------------------------------------- */

bool lp1_tail_take(struct lp1_tail *t, struct lp1_tail_unit *to)
{
    struct slot *u = &t->ring[t->taken % LP1_WINDOW];
    if (t->taken >= t->next)
        return false;
    *to = (struct lp1_tail_unit){ .q = t->taken, .e = u->e, .k = u->k, .n = u->n, .c = u->c, .body = u->body };
    *u = (struct slot){ 0 };
    t->bytes -= to->n;
    t->held--;
    t->taken++;
    t->biggest -= t->biggest / 1024;                    /* a rare large one is forgotten in time */
    t->dirty = true;
    return true;
}

bool lp1_tail_ended(const struct lp1_tail *t) { return t->total != LP1_UNKNOWN && t->taken == t->total; }

void lp1_tail_commit(struct lp1_tail *t, uint64_t seq)
{
    if (seq <= t->commit)
        return;
    t->commit = seq < t->taken ? seq : t->taken;
    t->dirty = true;
}

void lp1_tail_final(struct lp1_tail *t)
{
    if (!t->final)
        t->final_at = -1;                               /* the next tick's time */
    t->final = t->dirty = true;
}

bool lp1_tail_finished(const struct lp1_tail *t, double now)
{
    return t->final && (t->head_final || (t->final_at >= 0 && now - t->final_at > LP1_LINGER));
}

const char *lp1_tail_fatal(const struct lp1_tail *t, int *status)
{
    *status = t->status;
    return t->status ? t->fatal : NULL;
}

const uint8_t *lp1_tail_run(const struct lp1_tail *t) { return t->run_known ? t->run : NULL; }

void lp1_tail_state(const struct lp1_tail *t, struct lp1_tail_state *s)
{
    *s = (struct lp1_tail_state){ .head = t->up, .taken = t->taken, .next = t->next, .limit = limit_now(t),
                                  .commit = t->commit, .total = t->total, .workers = t->sessions.n, .held = t->held,
                                  .bytes = t->bytes, .duplicates = t->duplicates, .refused = t->refused,
                                  .differing = t->differing };
}
