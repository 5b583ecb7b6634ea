/* libcommon/stream/lp1/tail.c - the TAIL of docs/protocol.7: its HEAD and its consumer; its workers are accept.c */
#include "libcommon/stream/lp1/tail_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/sys/error.h"

enum { GUESS = 1 << 20 };               /* the size of a unit before any was seen */
#define ACK_SECONDS 0.05                /* small news wait so long for company */

struct tail_slot *tail_slot_of(struct lp1_tail *t, uint64_t q) { return &t->ring[q % LP1_WINDOW]; }

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
        if (tail_slot_of(t, q)->held)
            t->out.body_free(t->out.ctx, tail_slot_of(t, q)->unit.body);
    lp1_sessions_release(&t->sessions);
    free(t);
}

uint64_t tail_limit(const struct lp1_tail *t)
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
    m->limit = tail_limit(t);
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
    t->urgent &= t->dirty;
    t->told_next = t->m.next;
    t->told_limit = t->m.limit;
}

static void fail(struct lp1_tail *t, int status, const char *code, const char *text)
{
    if (t->status)
        return;
    t->status = status;
    snprintf(t->fatal, sizeof t->fatal, "%s (%s)", text, code);
}

static void welcome(struct lp1_tail *t, const struct lp1_message *m)
{
    if (t->run_known && memcmp(t->run, m->run, 16)) {
        fail(t, STATUS_BAD, "run", "the head serves another plan than this run was begun with");
        return;
    }
    memcpy(t->run, m->run, 16);
    t->run_known = t->up = t->dirty = t->urgent = true;
    t->head = m->from;
    if (m->header)
        t->out.head_header(t->out.ctx, m->header);
}

static void workers_dismiss(struct lp1_tail *t)
{
    for (size_t i = 0; i < t->sessions.n; i++) {
        lp1_message_init(&t->m, LP1_EOS, t->from, t->sessions.at[i]->from);
        t->m.total = t->total;
        t->m.final = 1;
        tail_session_send(t, t->sessions.at[i]);
    }
}

/* HEAD says that all is durable: answer, and tell the workers too. */
static void leave(struct lp1_tail *t)
{
    lp1_message_init(&t->m, LP1_BYE, t->from, t->head);
    (void)t->out.send_head(t->out.ctx, &t->m);
    if (!t->head_final)
        workers_dismiss(t);
    t->head_final = true;
}

/* All is durable here, and HEAD has not said that it knows for long enough. */
static bool lingered(const struct lp1_tail *t)
{
    return t->final && !t->head_final && t->final_at >= 0 && t->now - t->final_at > LP1_LINGER;
}

void lp1_tail_from_head(struct lp1_tail *t, const struct lp1_message *m, double now)
{
    t->now = now;
    if (m->to != t->from && !(m->t == LP1_REJECT && !m->to))       /* 0: it could not read who we are */
        return;
    t->head_heard = now;
    if (m->t == LP1_WELCOME) {
        welcome(t, m);
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

void lp1_tail_tick(struct lp1_tail *t, double now)
{
    t->now = now;
    double paused = now - t->ticked > 2 * LP1_BEAT ? now - t->ticked : 0;       /* our own pause is not their silence */
    t->ticked = now;
    t->head_heard += paused;
    if (t->final && t->final_at < 0)
        t->final_at = now;
    if (lingered(t)) {
        workers_dismiss(t);             /* HEAD may be out of our reach alone, or gone: nobody else would tell them */
        t->left = true;
    }
    for (size_t i = t->sessions.n; i-- > 0;) {
        struct lp1_session *s = t->sessions.at[i];
        s->heard += paused;
        if (now - s->heard > LP1_LOST || s->lost) {
            lp1_session_remove(&t->sessions, s);
        } else if (now - s->said >= LP1_BEAT) {
            lp1_message_init(&t->m, t->head_final ? LP1_EOS : LP1_BEAT_MSG, t->from, s->from);
            t->m.total = t->total;
            t->m.final = t->head_final;
            tail_session_send(t, s);
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

/* HEAD should hear now: it may wait for the limit, or hold what it need not. */
static bool ack_due(const struct lp1_tail *t)
{
    uint64_t limit = tail_limit(t), some = (limit - t->taken) / 16;
    return t->urgent || t->next - t->told_next >= some || limit < t->told_limit || limit - t->told_limit >= some;
}

bool lp1_tail_ack_waits(const struct lp1_tail *t) { return t->dirty && t->up && ack_due(t); }

void lp1_tail_flush(struct lp1_tail *t, double now)
{
    t->now = now;
    for (size_t i = 0; i < t->sessions.n; i++)
        tail_recv_send(t, t->sessions.at[i]);
    if (t->dirty && t->up && (ack_due(t) || now - t->head_said >= ACK_SECONDS))
        head_ack(t);
}

/* --- the consumer -------------------------------------------------------------------- */

bool lp1_tail_take(struct lp1_tail *t, struct lp1_unit *to)
{
    struct tail_slot *u = tail_slot_of(t, t->taken);
    if (t->taken >= t->next)
        return false;
    *to = u->unit;
    *u = (struct tail_slot){ .held = false };
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
    t->dirty = t->urgent = true;
}

void lp1_tail_final(struct lp1_tail *t)
{
    if (!t->final)
        t->final_at = -1;                               /* the next tick's time */
    t->final = t->dirty = t->urgent = true;
}

bool lp1_tail_finished(const struct lp1_tail *t)
{
    return t->final && (t->head_final || t->left);
}

const char *lp1_tail_fatal(const struct lp1_tail *t, int *status)
{
    *status = t->status;
    return t->status ? t->fatal : NULL;
}

const uint8_t *lp1_tail_run(const struct lp1_tail *t) { return t->run_known ? t->run : NULL; }

void lp1_tail_state(const struct lp1_tail *t, struct lp1_tail_state *s)
{
    *s = (struct lp1_tail_state){ .head = t->up, .taken = t->taken, .next = t->next, .limit = tail_limit(t),
                                  .commit = t->commit, .total = t->total, .workers = t->sessions.n, .held = t->held,
                                  .bytes = t->bytes, .duplicates = t->duplicates, .refused = t->refused,
                                  .differing = t->differing };
}
