/* libcommon/stream/lp1/worker.c - the WORKER of docs/protocol.7 */
#include "libcommon/stream/lp1/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/sys/error.h"

struct link {
    bool up;
    uint64_t peer;                      /* its incarnation */
    double heard, said;
};

struct held {
    struct lp1_unit unit;               /* body: the result's, once there is one */
    bool offered;                       /* computed */
};

struct lp1_worker {
    struct lp1_worker_out out;
    uint64_t from, slots, done;
    char host[LP1_TEXT + 1];
    uint8_t run[16];
    bool run_known, leaving, dismissed;
    void *header;
    struct link link[2];
    double now, ticked, alone;          /* alone: since when no HEAD was heard */
    size_t nheld, nfree[2];
    struct held held[LP1_LIST];
    uint64_t freed[2][LP1_LIST], freed_tail;
    int status;
    char fatal[LP1_TEXT + 64];
    struct lp1_message m;
};

struct lp1_worker *lp1_worker_new(uint64_t incarnation, uint64_t slots, const char *host, const struct lp1_worker_out *out)
{
    struct lp1_worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->out = *out;
    w->from = incarnation;
    w->slots = slots < LP1_LIST ? slots : LP1_LIST;
    snprintf(w->host, sizeof w->host, "%s", host);
    w->link[LP1_UP].said = w->link[LP1_DOWN].said = -LP1_BEAT;
    w->alone = -1;
    return w;
}

void lp1_worker_free(struct lp1_worker *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->nheld; i++)
        if (w->held[i].unit.body)
            w->out.body_free(w->out.ctx, w->held[i].unit.body);
    free(w);
}

static void fail(struct lp1_worker *w, int status, const char *text)
{
    if (w->status)
        return;
    w->status = status;
    snprintf(w->fatal, sizeof w->fatal, "%s", text);
}

static bool send_to(struct lp1_worker *w, enum lp1_link l, void *body)
{
    w->link[l].said = w->now;
    return w->out.send(w->out.ctx, l, &w->m, body);
}

static struct lp1_message *message(struct lp1_worker *w, enum lp1_type t, enum lp1_link l)
{
    lp1_message_init(&w->m, t, w->from, w->link[l].peer);
    return &w->m;
}

static void hello(struct lp1_worker *w, enum lp1_link l)
{
    w->link[l].up = false;
    if (l == LP1_DOWN && (!w->header || !w->run_known))
        return;
    struct lp1_message *m = message(w, LP1_HELLO, l);
    m->to = 0;
    m->role = LP1_WORKER;
    m->slots = w->slots;
    memcpy(m->run, w->run, 16);
    memcpy(m->text, w->host, sizeof w->host);
    for (size_t i = 0; i < w->nheld; i++)
        m->list[m->nlist++] = w->held[i].unit.q;
    if (!send_to(w, l, l == LP1_DOWN ? w->header : NULL))
        w->link[l].said = w->now - LP1_BEAT + 0.1;      /* nobody there yet: soon again */
}

/* Kept while there is no session: HEAD may hold us to the list of a HELLO that was sent before. */
static void free_flush(struct lp1_worker *w)
{
    for (uint64_t good = 0; w->link[LP1_UP].up && good < 2; good++) {
        if (!w->nfree[good])
            continue;
        struct lp1_message *m = message(w, LP1_FREE, LP1_UP);
        m->ok = good;
        m->tail = w->freed_tail;
        m->nlist = w->nfree[good];
        memcpy(m->list, w->freed[good], m->nlist * sizeof *m->list);
        w->nfree[good] = 0;
        send_to(w, LP1_UP, NULL);
    }
}

static void free_add(struct lp1_worker *w, uint64_t q, uint64_t good)
{
    bool other = good && w->nfree[1] && w->freed_tail != w->link[LP1_DOWN].peer;
    if (w->nfree[good] == LP1_LIST || other)
        free_flush(w);
    while (other && w->nfree[1] && w->nfree[0] < LP1_LIST)      /* what an older TAIL had: hand it out again */
        w->freed[0][w->nfree[0]++] = w->freed[1][--w->nfree[1]];
    if (good)
        w->freed_tail = w->link[LP1_DOWN].peer;
    if (w->nfree[good] < LP1_LIST)
        w->freed[good][w->nfree[good]++] = q;
}

static void offer(struct lp1_worker *w, const struct held *h)
{
    if (!w->link[LP1_DOWN].up)
        return;
    struct lp1_message *m = message(w, LP1_DATA, LP1_DOWN);
    m->q = h->unit.q;
    m->e = h->unit.e;
    m->k = h->unit.k;
    m->n = h->unit.n;
    m->c = h->unit.c;
    if (!send_to(w, LP1_DOWN, h->unit.body))
        w->link[LP1_DOWN].up = false;
}

static struct held *held_find(struct lp1_worker *w, uint64_t q)
{
    for (size_t i = 0; i < w->nheld; i++)
        if (w->held[i].unit.q == q)
            return &w->held[i];
    return NULL;
}

static void held_remove(struct lp1_worker *w, struct held *h)
{
    if (h->unit.body)
        w->out.body_free(w->out.ctx, h->unit.body);
    *h = w->held[--w->nheld];
}

/* --- messages ------------------------------------------------------------------------ */

/* Takes body. */
static void work(struct lp1_worker *w, const struct lp1_message *m, void *body)
{
    struct lp1_unit u = { .q = m->q, .e = m->e, .k = m->k, .n = m->n, .c = (uint32_t)m->c, .body = body };
    if (held_find(w, m->q)) {                           /* it is here already: one result will serve */
        w->out.body_free(w->out.ctx, body);
    } else if (w->leaving || w->nheld == LP1_LIST) {
        w->out.body_free(w->out.ctx, body);
        free_add(w, m->q, 0);
    } else {
        w->held[w->nheld++] = (struct held){ .unit = { .q = u.q, .e = u.e } };
        w->out.run(w->out.ctx, &u);
    }
}

static void received(struct lp1_worker *w, const struct lp1_message *m)
{
    for (size_t i = 0; i < m->nlist; i++) {
        struct held *h = held_find(w, m->list[i]);
        if (!h || !h->offered)
            continue;
        held_remove(w, h);
        free_add(w, m->list[i], m->ok);
        w->done += m->ok;
    }
}

static void dismiss(struct lp1_worker *w)
{
    for (int l = 0; l < 2; l++) {
        message(w, LP1_BYE, (enum lp1_link)l);
        if (w->link[l].up)
            send_to(w, (enum lp1_link)l, NULL);
    }
    w->dismissed = true;
}

static void welcome(struct lp1_worker *w, enum lp1_link l, const struct lp1_message *m, void *body)
{
    if (w->run_known && memcmp(w->run, m->run, 16)) {
        fail(w, STATUS_AGAIN, "the head has begun another plan: this worker starts anew");
        return;
    }
    bool again = w->link[l].up && w->link[l].peer == m->from;
    memcpy(w->run, m->run, 16);
    w->run_known = true;
    w->link[l].up = true;
    w->link[l].peer = m->from;
    if (l == LP1_UP && body)
        w->out.header(w->out.ctx, body);
    for (size_t i = 0; l == LP1_DOWN && !again && i < w->nheld; i++)
        if (w->held[i].offered)
            offer(w, &w->held[i]);
}

static void rejected(struct lp1_worker *w, enum lp1_link l, const struct lp1_message *m)
{
    char text[LP1_TEXT + 64];
    if (m->code == LP1_SESSION) {
        hello(w, l);
    } else if (m->code == LP1_WAIT || m->code == LP1_BUSY) {
        w->link[l].up = false;
        w->link[l].said = w->now - LP1_BEAT + (m->code == LP1_WAIT ? 0.1 : LP1_BEAT);
    } else {
        snprintf(text, sizeof text, "%s refuses this worker: %s (%s)", l == LP1_UP ? "the head" : "the consumer", m->text,
                 lp1_code_name((enum lp1_code)m->code));
        fail(w, STATUS_BAD, text);
    }
}

void lp1_worker_message(struct lp1_worker *w, enum lp1_link from, const struct lp1_message *m, void *body, double now)
{
    struct link *l = &w->link[from];
    w->now = now;
    if (m->to == w->from || (m->t == LP1_REJECT && !m->to)) {       /* 0: it could not read who we are */
        l->heard = now;
        if (m->t == LP1_WELCOME) {
            welcome(w, from, m, body);
        } else if (m->t == LP1_REJECT) {
            rejected(w, from, m);
        } else if (m->t == LP1_EOS && m->final) {
            l->peer = m->from;
            dismiss(w);
        } else if (l->up && m->from == l->peer) {
            if (m->t == LP1_WORK && from == LP1_UP && body) {
                work(w, m, body);
                body = NULL;
            } else if (m->t == LP1_RECV && from == LP1_DOWN) {
                received(w, m);
            }
        }
    }
    if (body)
        w->out.body_free(w->out.ctx, body);
}

void lp1_worker_tick(struct lp1_worker *w, double now)
{
    w->now = now;
    double paused = now - w->ticked > 2 * LP1_BEAT ? now - w->ticked : 0;
    w->ticked = now;
    if (w->link[LP1_UP].up || w->alone < 0)
        w->alone = now;         /* the first tick is no pause, whatever the clock says */
    else
        w->alone += paused;
    for (int i = 0; i < 2; i++) {
        enum lp1_link l = (enum lp1_link)i;
        struct link *k = &w->link[i];
        k->heard += paused;
        if (now - k->heard > LP1_LOST) {
            k->heard = now;
            w->out.reset(w->out.ctx, l);
            hello(w, l);
        } else if (now - k->said >= LP1_BEAT && !k->up) {
            hello(w, l);
        } else if (now - k->said >= LP1_BEAT) {
            message(w, LP1_BEAT_MSG, l)->done = w->done;
            send_to(w, l, NULL);
        }
    }
    if (now - w->alone > LP1_ALONE)
        fail(w, STATUS_AGAIN, "no head for 10 minutes");
}

void lp1_worker_flush(struct lp1_worker *w, double now)
{
    w->now = now;
    free_flush(w);
}

/* --- the computation ------------------------------------------------------------------- */

void lp1_worker_header(struct lp1_worker *w, void *body, double now)
{
    w->now = now;
    w->header = body;
    hello(w, LP1_DOWN);
}

void lp1_worker_result(struct lp1_worker *w, const struct lp1_unit *u, double now)
{
    struct held *h = held_find(w, u->q);
    w->now = now;
    if (!h || h->offered) {
        w->out.body_free(w->out.ctx, u->body);
        return;
    }
    h->unit = *u;
    h->offered = true;
    offer(w, h);
}

void lp1_worker_leave(struct lp1_worker *w, const uint64_t *unstarted, size_t n, double now)
{
    w->now = now;
    w->leaving = true;
    struct lp1_message *m = message(w, LP1_BYE, LP1_UP);
    for (size_t i = 0; i < n; i++) {
        struct held *h = held_find(w, unstarted[i]);
        if (h && !h->offered) {
            held_remove(w, h);
            if (m->nlist < LP1_LIST)
                m->list[m->nlist++] = unstarted[i];
        }
    }
    if (w->link[LP1_UP].up)
        send_to(w, LP1_UP, NULL);
}

bool lp1_worker_finished(const struct lp1_worker *w) { return w->dismissed || (w->leaving && !w->nheld); }
bool lp1_worker_dismissed(const struct lp1_worker *w) { return w->dismissed; }

const char *lp1_worker_fatal(const struct lp1_worker *w, int *status)
{
    *status = w->status;
    return w->status ? w->fatal : NULL;
}

void lp1_worker_state(const struct lp1_worker *w, struct lp1_worker_state *s)
{
    *s = (struct lp1_worker_state){ .up = { w->link[0].up, w->link[1].up }, .done = w->done };
    for (size_t i = 0; i < w->nheld; i++)
        w->held[i].offered ? s->offered++ : s->running++;
}
