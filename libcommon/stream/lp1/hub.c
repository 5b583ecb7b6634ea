/* libcommon/stream/lp1/hub.c - see hub.h; the two machines do the work, this joins them */
#include "libcommon/stream/lp1/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lp1_hub {
    struct lp1_tail_out above;
    struct lp1_head_out below;
    struct lp1_tail *tail;
    struct lp1_head *head;
    uint64_t from, up_from, bytes;
    void *header;
    bool final, over;           /* over: the consumer below said so before there was anything to hand out */
    uint64_t total;
    double now;
};

struct lp1_hub *lp1_hub_new(uint64_t incarnation, uint64_t bytes, const struct lp1_tail_out *above,
                            const struct lp1_head_out *below)
{
    struct lp1_hub *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    *h = (struct lp1_hub){ .above = *above, .below = *below, .from = incarnation, .up_from = incarnation, .bytes = bytes };
    return h;
}

void lp1_hub_free(struct lp1_hub *h)
{
    if (!h)
        return;
    lp1_tail_free(h->tail);
    lp1_head_free(h->head);
    free(h);
}

/* The side above begins at `next`, or begins anew there: what it held is no use to the TAIL below. */
static void above_begin(struct lp1_hub *h, uint64_t next)
{
    uint8_t run[16] = { 0 };
    if (h->tail && lp1_tail_run(h->tail))
        memcpy(run, lp1_tail_run(h->tail), 16);
    lp1_tail_free(h->tail);
    h->tail = lp1_tail_new(run, h->up_from++, next, LP1_HUB, h->bytes, &h->above);
    h->final = false;
    if (h->tail)
        lp1_tail_tick(h->tail, h->now);
}

void lp1_hub_header(struct lp1_hub *h, void *header) { h->header = header; }

/* What can be passed on: the total and units down, what is durable up. */
static void pump(struct lp1_hub *h)
{
    struct lp1_tail_state up;
    struct lp1_head_state down;
    struct lp1_unit u;
    uint64_t q;
    if (!h->tail)
        return;
    if (!h->head && h->header && lp1_tail_run(h->tail))
        h->head = lp1_head_new(lp1_tail_run(h->tail), h->from, h->header, h->bytes, &h->below);
    if (!h->head)
        return;
    lp1_tail_state(h->tail, &up);
    if (up.total != LP1_UNKNOWN)
        lp1_head_total(h->head, up.total);
    for (;;) {
        bool wants = lp1_head_wants(h->head, &q);
        lp1_tail_state(h->tail, &up);
        lp1_head_state(h->head, &down);
        if (down.tail && q != up.taken) {
            above_begin(h, q);
            if (!h->tail)
                return;
        }
        if (!wants || !lp1_tail_take(h->tail, &u))
            break;
        lp1_head_put(h->head, &u);
    }
    lp1_tail_commit(h->tail, down.commit);
    if (lp1_head_complete(h->head) && !h->final) {
        h->final = true;
        lp1_tail_final(h->tail);
    }
}

void lp1_hub_from_head(struct lp1_hub *h, const struct lp1_message *m, double now)
{
    h->now = now;
    if (h->tail)
        lp1_tail_from_head(h->tail, m, now);
}

void lp1_hub_from_above(struct lp1_hub *h, uint64_t peer, struct lp1_message *m, double now)
{
    h->now = now;
    if (h->tail)                                    /* else the worker says HELLO again in a second */
        lp1_tail_from_worker(h->tail, peer, m, now);
}

void lp1_hub_from_below(struct lp1_hub *h, uint64_t peer, const struct lp1_message *m, double now)
{
    static _Thread_local struct lp1_message answer;
    h->now = now;
    pump(h);
    if (h->head) {
        lp1_head_message(h->head, peer, m, now);
        return;
    }
    bool consumer = m->t == LP1_HELLO && (m->role == LP1_TAIL || m->role == LP1_HUB);
    if (consumer && !h->tail)
        above_begin(h, m->next);
    if (consumer && m->final && h->tail && !h->over) {
        h->over = true;
        h->total = m->next;
        lp1_tail_final(h->tail);
    }
    lp1_message_init(&answer, h->over ? LP1_EOS : LP1_REJECT, h->from, m->from);
    answer.total = h->total;
    answer.final = 1;
    answer.code = LP1_WAIT;
    snprintf(answer.text, sizeof answer.text, "the hub waits for %s", h->tail ? "the workers above" : "the consumer below");
    (void)h->below.send(h->below.ctx, peer, &answer);
}

void lp1_hub_tick(struct lp1_hub *h, double now)
{
    h->now = now;
    if (h->tail)
        lp1_tail_tick(h->tail, now);
    if (h->head)
        lp1_head_tick(h->head, now);
    pump(h);
}

void lp1_hub_flush(struct lp1_hub *h, double now)
{
    h->now = now;
    pump(h);
    if (h->tail)
        lp1_tail_flush(h->tail, now);
    if (h->head)
        lp1_head_flush(h->head, now);
}

bool lp1_hub_finished(const struct lp1_hub *h)
{
    bool below_left = h->head ? lp1_head_finished(h->head) : h->over;
    return below_left && h->tail && lp1_tail_finished(h->tail);
}

const char *lp1_hub_fatal(const struct lp1_hub *h, int *status)
{
    *status = 0;
    return h->tail ? lp1_tail_fatal(h->tail, status) : NULL;
}

const struct lp1_tail *lp1_hub_tail(const struct lp1_hub *h) { return h->tail; }
const struct lp1_head *lp1_hub_head(const struct lp1_hub *h) { return h->head; }
