/* libcommon/stream/lp1/worker.c - the WORKER of docs/protocol.7: its links; what it holds is hold.c */
#include "libcommon/stream/lp1/worker_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/sys/error.h"

struct lp1_worker *lp1_worker_new(uint64_t incarnation, uint64_t slots, const char *host, const struct lp1_worker_out *out)
{
    struct lp1_worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->out = *out;
    w->from = incarnation;
    w->least = w->slots = slots < LP1_LIST ? slots : LP1_LIST;
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

bool worker_send(struct lp1_worker *w, enum lp1_link l)
{
    w->link[l].said = w->now;
    return w->out.send(w->out.ctx, l, &w->m);
}

struct lp1_message *worker_message(struct lp1_worker *w, enum lp1_link l, enum lp1_type t)
{
    lp1_message_init(&w->m, t, w->from, w->link[l].peer);
    return &w->m;
}

static void hello(struct lp1_worker *w, enum lp1_link l)
{
    w->link[l].up = false;
    if (l == LP1_DOWN && (!w->header || !w->run_known))
        return;
    struct lp1_message *m = worker_message(w, l, LP1_HELLO);
    m->to = 0;
    m->header = l == LP1_DOWN ? w->header : NULL;
    m->role = LP1_WORKER;
    m->slots = w->slots;
    memcpy(m->run, w->run, 16);
    memcpy(m->text, w->host, sizeof w->host);
    for (size_t i = 0; i < w->nheld; i++)
        m->list[m->nlist++] = w->q[i];
    if (!worker_send(w, l))
        w->link[l].said = w->now - LP1_BEAT + 0.1;      /* nobody there yet: soon again */
}

/* --- messages ------------------------------------------------------------------------ */

static void work(struct lp1_worker *w, struct lp1_unit *u)
{
    if (held_find(w, u->q))
        return;                                         /* it is here already: one result will serve */
    if (w->leaving || w->nheld == LP1_LIST) {
        free_add(w, u->q, 0);
        return;
    }
    held_add(w, u);
    size_note(w, u->n);
    struct lp1_unit mine = *u;
    u->body = NULL;
    w->out.run(w->out.ctx, &mine);
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
        worker_message(w, (enum lp1_link)l, LP1_BYE);
        if (w->link[l].up)
            worker_send(w, (enum lp1_link)l);
    }
    w->dismissed = true;
}

static void welcome(struct lp1_worker *w, enum lp1_link l, const struct lp1_message *m)
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
    if (l == LP1_UP && m->header)
        w->out.header(w->out.ctx, m->header);
    if (l == LP1_DOWN && !again)
        made_all(w);
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

void lp1_worker_message(struct lp1_worker *w, enum lp1_link from, struct lp1_message *m, double now)
{
    struct link *l = &w->link[from];
    w->now = now;
    if (m->to != w->from && !(m->t == LP1_REJECT && !m->to))        /* 0: it could not read who we are */
        return;
    l->heard = now;
    if (m->t == LP1_WELCOME) {
        welcome(w, from, m);
    } else if (m->t == LP1_REJECT) {
        rejected(w, from, m);
    } else if (m->t == LP1_EOS && m->final) {
        l->peer = m->from;
        dismiss(w);
    } else if (l->up && m->from == l->peer) {
        for (size_t i = 0; m->t == LP1_WORK && from == LP1_UP && i < m->nunit; i++)
            work(w, &m->unit[i]);
        if (m->t == LP1_RECV && from == LP1_DOWN)
            received(w, m);
    }
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
            worker_message(w, l, LP1_BEAT_MSG)->done = w->done;
            worker_send(w, l);
        }
    }
    free_flush(w, true);
    if (now - w->alone > LP1_ALONE)
        fail(w, STATUS_AGAIN, "no head for 10 minutes");
}

void lp1_worker_flush(struct lp1_worker *w, double now)
{
    w->now = now;
    made_flush(w);
    free_flush(w, false);
}

/* --- the computation ------------------------------------------------------------------- */

void lp1_worker_header(struct lp1_worker *w, void *header, double now)
{
    w->now = now;
    w->header = header;
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
    w->noffered++;
    size_note(w, u->n);
    made_add(w, u->q);
}

void lp1_worker_leave(struct lp1_worker *w, const uint64_t *unstarted, size_t n, double now)
{
    w->now = now;
    w->leaving = true;
    struct lp1_message *m = worker_message(w, LP1_UP, LP1_BYE);
    for (size_t i = 0; i < n; i++) {
        struct held *h = held_find(w, unstarted[i]);
        if (h && !h->offered) {
            held_remove(w, h);
            if (m->nlist < LP1_LIST)
                m->list[m->nlist++] = unstarted[i];
        }
    }
    if (w->link[LP1_UP].up)
        worker_send(w, LP1_UP);
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
    s->offered = w->noffered;
    s->running = w->nheld - w->noffered;
}
