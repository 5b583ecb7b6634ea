/* libcommon/stream/net/head_out.c - a HEAD behind struct stream_out: a source writes units, workers fetch them
 *
 * A thread owns the socket, and hands out; the state machine is shared under a lock.  The source
 * asks what to put next (stream_out_wants), since a TAIL that is started anew may
 * go back; all that the TAIL has not acknowledged is kept, up to BUDGET bytes.  A
 * filter that reads a pipe cannot ask, since it cannot go back: each unit waits for
 * its turn, and when its turn is over for ever the filter ends, to be started anew. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/stream/end.h"
#include "libcommon/stream/format/unit.h"
#include "libcommon/stream/lp1/head.h"
#include "libcommon/stream/net/service.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { BUDGET = 512 << 20 };

struct head_out {
    struct stream_out base;
    struct service service;
    void *router;
    struct lp1_head *head;
    struct blob *header;
    struct gather gather;
    bool asks;                  /* the program calls wants: it can make any unit again */
    bool any;
    uint64_t first, next;       /* of one that does not: its first unit, once there is any; the one after the last */
};

static bool on_send(void *ctx, uint64_t peer, const struct lp1_message *m)
{
    return socket_send(((struct head_out *)ctx)->router, peer, m);
}
static void on_free(void *ctx, void *body)
{
    (void)ctx;
    blob_drop(body);
}

/* In the thread, under the lock. */
static bool serve(void *ctx, bool tick, double now)
{
    struct head_out *h = ctx;
    static struct packet p;
    for (int i = 0; i < SERVICE_BATCH; i++) {
        int got = socket_recv(h->router, true, &p);
        if (got == 0)
            break;
        if (got > 0) {
            lp1_head_message(h->head, p.peer, &p.m, now);
            packet_drop(&p);
        }
    }
    if (tick)
        lp1_head_tick(h->head, now);
    lp1_head_flush(h->head, now);
    return !lp1_head_finished(h->head);
}

static int put_header(struct stream_out *out, const struct header *hd, struct error *e)
{
    struct head_out *h = (struct head_out *)out;
    struct span run = header_run(hd);
    if (h->head)
        return error_set(e, STATUS_BAD, "%s: one run at a time goes to an endpoint, and a second stream came behind "
                                        "the first: record them, and let replay serve both", out->name);
    if (run.size != 16)
        return error_set(e, STATUS_BAD, "%s: the header's run is not 16 bytes", out->name);
    const struct lp1_head_out actions = { h, on_send, on_free };
    h->header = blob_copy(span_of(hd->map.data, hd->map.size));
    h->head = h->header ? lp1_head_new(run.data, incarnation_random(), h->header, BUDGET, &actions) : NULL;
    if (!h->head)
        return error_memory(e);
    return service_start(&h->service, serve, h, &h->router, 1, e);
}

static int wants(struct stream_out *out, uint64_t *q, uint64_t units, struct error *e)
{
    struct head_out *h = (struct head_out *)out;
    double began = clock_seconds();
    int rc = -2;
    h->asks = true;
    service_lock(&h->service);
    lp1_head_total(h->head, units);
    while (rc == -2) {
        if (lp1_head_wants(h->head, q))
            rc = 1;
        else if (lp1_head_complete(h->head))
            rc = 0;
        else if (stop_asked())
            rc = error_set(e, STATUS_AGAIN, "stopped by a signal");
        else
            service_wait(&h->service);
    }
    service_unlock(&h->service);
    if (rc == 0)
        *q = units;
    out->waited += clock_seconds() - began;
    return rc;
}

/* --- a filter's output, which comes as it comes ------------------------------------------ */

static int went_back(const struct head_out *h, uint64_t wanted, struct error *e)
{
    if (!h->any || wanted < h->first)
        return error_set(e, STATUS_BAD, "%s: the consumer goes on at unit %llu, and the stream begins at unit %llu: "
                                        "give its source --start %llu",
                         h->base.name, (unsigned long long)wanted, (unsigned long long)h->first, (unsigned long long)wanted);
    return error_set(e, STATUS_AGAIN, "%s: the consumer was started anew and goes on at unit %llu, which a pipe "
                                      "cannot give again: start this pipeline anew, too",
                     h->base.name, (unsigned long long)wanted);
}

/* Until it is known what becomes of unit q (UINT64_MAX: of the end): 1 it is to be put; 0 the consumer has it; -1. */
static int turn_wait(struct head_out *h, uint64_t q, struct error *e)
{
    double began = clock_seconds();
    uint64_t wanted;
    int rc = -2;
    service_lock(&h->service);
    while (rc == -2) {
        bool wants = lp1_head_wants(h->head, &wanted);
        if (lp1_head_complete(h->head)) {
            rc = q == UINT64_MAX ? 0 : error_set(e, STATUS_AGAIN, "%s: the consumer has ended", h->base.name);
            h->base.gone = rc < 0;
        } else if (wants && wanted < (q == UINT64_MAX ? h->next : q)) {
            rc = went_back(h, wanted, e);
        } else if (wants && q != UINT64_MAX) {
            rc = wanted == q;
        } else if (stop_asked()) {
            rc = error_set(e, STATUS_AGAIN, "stopped by a signal");
        } else {
            service_wait(&h->service);
        }
    }
    service_unlock(&h->service);
    h->base.waited += clock_seconds() - began;
    return rc;
}

static bool skips(struct stream_out *out, uint64_t q)
{
    struct head_out *h = (struct head_out *)out;
    uint64_t wanted;
    service_lock(&h->service);
    bool over = lp1_head_wants(h->head, &wanted) && wanted > q;
    service_unlock(&h->service);
    return over;
}

static int put_end(struct stream_out *out, struct error *e)
{
    struct head_out *h = (struct head_out *)out;
    if (h->asks)
        return 0;
    service_lock(&h->service);
    lp1_head_total(h->head, h->next);
    service_unlock(&h->service);
    service_wake(&h->service);
    return turn_wait(h, UINT64_MAX, e);
}

/* ------------------------------------------------------------------------------------------ */

static uint64_t window(struct stream_out *out)
{
    struct head_out *h = (struct head_out *)out;
    struct lp1_head_state s = { 0 };
    if (h->head) {
        service_lock(&h->service);
        lp1_head_state(h->head, &s);
        service_unlock(&h->service);
    }
    return s.pos > s.base ? s.pos - s.base : 0;
}

static int put_unit(struct stream_out *out, struct unit *u, struct error *e)
{
    struct head_out *h = (struct head_out *)out;
    struct gather *g = &h->gather;
    if (!h->asks) {
        if (!h->any)
            h->first = u->q;
        h->next = u->q;
        h->any = true;
        int turn = turn_wait(h, u->q, e);
        h->next = u->q + 1;
        if (turn < 1)
            return turn;
    }
    if (unit_fit(u, g, log_program(), e) < 0)
        return -1;
    struct blob *body = blob_new(g->size);
    if (!body)
        return error_memory(e);
    size_t at = 0;
    for (size_t i = 0; i < 2 * g->n + 1; i++) {
        struct span s = gather_span(g, i);
        if (s.size)
            memcpy(body->data + at, s.data, s.size);
        at += s.size;
    }
    const struct lp1_unit made = { .q = u->q, .e = u->epoch, .k = u->k, .n = body->size, .c = gather_crc(g), .body = body };
    service_lock(&h->service);
    lp1_head_put(h->head, &made);
    bool waits = lp1_head_work_waits(h->head);
    service_unlock(&h->service);
    if (waits)
        service_wake(&h->service);
    return 0;
}

static int nothing(struct stream_out *out, struct error *e)
{
    (void)out, (void)e;
    return 0;
}

static int head_close(struct stream_out *out, struct error *e)
{
    struct head_out *h = (struct head_out *)out;
    (void)e;
    bool complete = false;
    if (h->head) {
        service_lock(&h->service);
        complete = lp1_head_complete(h->head);
        service_unlock(&h->service);
        service_end(&h->service, complete);     /* when all is done: until everybody has been told */
    }
    socket_close(h->router, 1000);
    lp1_head_free(h->head);
    blob_drop(h->header);
    gather_release(&h->gather);
    stream_out_done(out);
    free(h);
    return 0;
}

static const struct stream_out_ops ops = { .put_header = put_header, .put_unit = put_unit, .put_end = put_end,
                                           .wants = wants, .skips = skips,
                                           .window = window, .flush = nothing, .close = head_close };

struct stream_out *head_out_open(const char *spec, struct error *e)
{
    struct head_out *h = NULL;
    if (*spec != '@')
        error_set(e, STATUS_BAD, "'%s': a source binds its output and workers connect to it: '@%s'", spec, spec);
    else if (!(h = calloc(1, sizeof *h)))
        error_memory(e);
    else if (stream_out_base(&h->base, &ops, spec, e) == 0 && (h->router = socket_bind(spec, e))) {
        gather_init(&h->gather);
        return &h->base;
    }
    if (h)
        stream_out_done(&h->base);
    free(h);
    return NULL;
}
