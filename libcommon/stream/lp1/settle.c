/* libcommon/stream/lp1/settle.c - HEAD's TAIL: which one counts, what it has acknowledged, when all is complete */
#include "libcommon/stream/lp1/head_impl.h"

void head_ring_empty(struct lp1_head *h, uint64_t end)
{
    for (uint64_t q = h->base; q < end && q < h->top; q++)
        head_slot_empty(h, head_slot_of(h, q), ABSENT);
}

/* A new TAIL: nothing that was said to an older one counts. */
static void forget(struct lp1_head *h, uint64_t next)
{
    head_ring_empty(h, h->top);
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
    h->completed_at = h->now;
    for (size_t i = 0; i < h->sessions.n; i++) {
        head_eos_make(h, h->sessions.at[i]->from);
        head_session_send(h, h->sessions.at[i]);
    }
    head_eos_make(h, h->tail);
    head_tail_send(h);
}

void head_ack(struct lp1_head *h, const struct lp1_message *m)
{
    if (m->next > h->base) {
        head_ring_empty(h, m->next);
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
            if (head_slot_of(h, q)->state != DONE)
                head_slot_empty(h, head_slot_of(h, q), DONE);
        if (lo < hi && hi > h->top)
            h->top = hi;
    }
    h->limit = m->limit;
    if (m->commit > h->commit)
        h->commit = m->commit;
    h->tail_final = m->final;
    complete_check(h);
}

void head_tail_hello(struct lp1_head *h, uint64_t peer, const struct lp1_message *m)
{
    if (h->tail_known && m->from < h->tail) {
        head_reject(h, peer, m->from, LP1_FENCED, "a newer consumer has taken over this run");
        return;
    }
    if (h->total != LP1_UNKNOWN && m->next > h->total) {
        head_reject(h, peer, m->from, LP1_BAD_RUN, "the consumer is further than this plan goes");
        return;
    }
    if (h->tail_known && m->from > h->tail && h->tail_peer && h->tail_peer != peer)
        head_reject(h, h->tail_peer, h->tail, LP1_FENCED, "a newer consumer has taken over this run");
    if (!h->tail_known || m->from > h->tail)
        forget(h, m->next);
    h->tail_known = true;
    h->tail = m->from;
    h->tail_peer = peer;
    h->tail_heard = h->now;
    head_welcome_make(h, m->from);
    head_tail_send(h);
    if (h->total != LP1_UNKNOWN) {
        head_eos_make(h, h->tail);
        head_tail_send(h);
    }
    head_ack(h, m);
}
