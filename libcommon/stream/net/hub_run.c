/* libcommon/stream/net/hub_run.c - a HUB's process: three sockets and the state machine */
#include "libcommon/stream/net/hub_run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/cli/metrics.h"
#include "libcommon/stream/facts.h"
#include "libcommon/stream/lp1/hub.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/stream/net/socket.h"
#include "libcommon/stream/stream.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { BATCH = 256, WINDOW_BYTES = 256 << 20 };
#define TICK 0.1

struct hub_run {
    const struct common *c;
    struct metrics *metrics;
    const struct hub_ends *ends;
    void *above, *below, *up;           /* workers above deliver; workers and consumer below; DEALER to the head */
    struct lp1_hub *hub;
    struct blob *header;
    bool told_mixture;
    double began, ticked, told, starved, blocked;
};

static bool on_send_head(void *ctx, const struct lp1_message *m) { return socket_send(((struct hub_run *)ctx)->up, 0, m); }
static bool on_send_above(void *ctx, uint64_t peer, const struct lp1_message *m)
{
    return socket_send(((struct hub_run *)ctx)->above, peer, m);
}
static bool on_send_below(void *ctx, uint64_t peer, const struct lp1_message *m)
{
    return socket_send(((struct hub_run *)ctx)->below, peer, m);
}
static void on_reset_head(void *ctx)
{
    struct hub_run *r = ctx;
    struct error e;
    void *next = socket_connect(r->ends->head, 1u << LP1_HEAD | 1u << LP1_HUB, &e);
    if (!next)
        return;
    socket_close(r->up, 0);
    r->up = next;
}
static bool on_header(void *ctx, void *body)
{
    struct hub_run *r = ctx;
    if (!r->header) {
        r->header = blob_share(body);
        lp1_hub_header(r->hub, r->header);
    }
    return headers_agree(blob_span(r->header), blob_span(body), &r->told_mixture);
}
static void on_head_header(void *ctx, void *body) { (void)ctx, (void)body; }
static void on_free(void *ctx, void *body)
{
    (void)ctx;
    blob_drop(body);
}

static void receive(struct hub_run *r, double now)
{
    static struct packet p;
    int got;
    for (int i = 0; i < BATCH && (got = socket_recv(r->above, true, &p)); i++)
        if (got > 0) {
            lp1_hub_from_above(r->hub, p.peer, &p.m, now);
            packet_drop(&p);
        }
    for (int i = 0; i < BATCH && (got = socket_recv(r->below, true, &p)); i++)
        if (got > 0) {
            lp1_hub_from_below(r->hub, p.peer, &p.m, now);
            packet_drop(&p);
        }
    while ((got = socket_recv(r->up, false, &p)))
        if (got > 0) {
            lp1_hub_from_head(r->hub, &p.m, now);
            packet_drop(&p);
        }
}

static void tell(struct hub_run *r, bool final)
{
    struct lp1_tail_state t = { 0 };
    struct lp1_head_state h = { 0 };
    struct error e = { 0 };
    double now = clock_seconds(), seconds = now - r->began;
    if (!final && now - r->told < 1)
        return;
    r->told = now;
    if (lp1_hub_tail(r->hub))
        lp1_tail_state(lp1_hub_tail(r->hub), &t);
    if (lp1_hub_head(r->hub))
        lp1_head_state(lp1_hub_head(r->hub), &h);
    const char *on = !lp1_hub_tail(r->hub) ? "the consumer" : !t.head ? "the head" : t.held ? "the workers below" :
                     "the workers above";
    progress_line(final, "%llu units in, %llu taken below, %zu workers above, %zu below, waits for %s",
                  (unsigned long long)t.next, (unsigned long long)h.base, t.workers, h.workers, on);
    struct facts f = { .stage = "hub", .units_in = t.next, .units = h.base, .samples = FACTS_UNKNOWN,
                       .errors = FACTS_UNKNOWN,
                       .window = t.held + (h.pos - h.base), .seconds = seconds, .wait_in = r->starved,
                           .wait_out = r->blocked };
    facts_begin(r->metrics, &f);
    metrics_int(r->metrics, "workers_above", (int64_t)t.workers);
    metrics_int(r->metrics, "workers_below", (int64_t)h.workers);
    metrics_end(r->metrics, &e);
}

static void wait_for_events(struct hub_run *r)
{
    struct lp1_tail_state t = { 0 };
    zmq_pollitem_t item[] = { { .socket = r->above, .events = ZMQ_POLLIN }, { .socket = r->below, .events = ZMQ_POLLIN },
                              { .socket = r->up, .events = ZMQ_POLLIN }, { .fd = stop_fd(), .events = ZMQ_POLLIN } };
    double began = clock_seconds();
    zmq_poll(item, 4, (long)(TICK * 1000));
    if (lp1_hub_tail(r->hub))
        lp1_tail_state(lp1_hub_tail(r->hub), &t);
    *(t.held ? &r->blocked : &r->starved) += clock_seconds() - began;
}

static int loop(struct hub_run *r, struct error *e)
{
    for (;;) {
        double now = clock_seconds();
        int status;
        receive(r, now);
        if (now - r->ticked >= TICK) {
            r->ticked = now;
            lp1_hub_tick(r->hub, now);
        }
        lp1_hub_flush(r->hub, now);
        const char *why = lp1_hub_fatal(r->hub, &status);
        if (why)
            return error_set(e, status, "%s", why);
        if (lp1_hub_finished(r->hub))
            return 0;
        if (r->ends->watch && r->ends->watch(r->ends->watch_ctx, e) < 0)
            return -1;
        if (stop_asked())
            return error_set(e, STATUS_AGAIN, "stopped by a signal; another hub goes on where this one was");
        tell(r, false);
        wait_for_events(r);
    }
}

int hub_run(const struct hub_ends *ends, const struct common *c)
{
    struct error e = { 0 };
    struct timespec t;
    struct hub_run r = { .c = c, .ends = ends, .began = clock_seconds() };
    const struct lp1_tail_out above = { &r, on_send_head, on_reset_head, on_send_above, on_header, on_head_header, on_free };
    const struct lp1_head_out below = { &r, on_send_below, on_free };
    stop_install();
    clock_gettime(CLOCK_REALTIME, &t);
    r.hub = lp1_hub_new((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec,
                        ends->bytes ? ends->bytes : WINDOW_BYTES, &above, &below);
    int rc = r.hub ? 0 : error_memory(&e);
    if (rc == 0 && !(r.metrics = metrics_open(c->metrics, &e)) && e.status)
        rc = -1;
    if (rc == 0 && (!(r.above = socket_bind(ends->above, &e)) || !(r.below = socket_bind(ends->below, &e)) ||
                    !(r.up = socket_connect(ends->head, 1u << LP1_HEAD | 1u << LP1_HUB, &e))))
        rc = -1;
    if (rc == 0)
        rc = loop(&r, &e);
    if (r.hub)
        tell(&r, true);
    if (rc < 0)
        warn("%s", e.text);
    lp1_hub_free(r.hub);
    blob_drop(r.header);
    metrics_close(r.metrics);
    socket_close(r.above, 1000);
    socket_close(r.below, 1000);
    socket_close(r.up, 1000);
    return rc < 0 ? e.status : STATUS_OK;
}
