/* libcommon/stream/net/tail_in.c - a TAIL behind struct stream_in: workers deliver, the program reads in order */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/stream/end.h"
#include "libcommon/stream/lp1/tail.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/stream/net/service.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { BUDGET = 512 << 20, TAKEN = 64, TAKEN_BYTES = 256 << 10 };       /* TAKEN: at one go, unless they are large */

struct tail_in {
    struct stream_in base;
    struct service service;
    void *socket[2];            /* ROUTER for workers, DEALER to the head */
    struct lp1_tail *tail;
    char *head;
    struct blob *header;        /* of the stream: the first worker's */
    bool told_header, told_end, told_mixture, final;
    uint64_t told_differing;
    struct lp1_unit taken[TAKEN];
    size_t ntaken, at;          /* taken from the machine; of those, read */
    int lock;                   /* of the run's directory; -1: none */
    double told;
};

/* --- who we are: a number that grows with each start --------------------------------- */

static uint64_t time_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The directory's counter, one up, on disk before it is used; the lock is held until the process ends. */
static int incarnation_take(struct tail_in *t, const char *dir, uint64_t *to, struct error *e)
{
    char path[4096], text[64];
    struct buf b;
    if (dir_make(dir, e) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/consumer.lock", dir);
    t->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->lock < 0)
        return error_set(e, error_errno_status(errno), "cannot write '%s': %s", path, strerror(errno));
    if (flock(t->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set(e, STATUS_AGAIN, "another consumer works on '%s'", dir);
    snprintf(path, sizeof path, "%s/consumer.count", dir);
    buf_init(&b, 64);
    uint64_t last = 0;
    if (access(path, F_OK) == 0 && file_read(path, &b, e) < 0) {
        buf_release(&b);
        return -1;
    }
    if (b.size && sscanf((const char *)b.data, "%llu", (unsigned long long *)&last) != 1)
        last = 0;
    buf_release(&b);
    uint64_t now = time_ns();           /* so that a counter that was deleted does not begin again */
    *to = last + 1 > now ? last + 1 : now;
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)*to);
    return file_replace(path, text, strlen(text), e);
}

/* --- actions ------------------------------------------------------------------------------ */

static bool on_send_head(void *ctx, const struct lp1_message *m)
{
    return socket_send(((struct tail_in *)ctx)->socket[1], 0, m);
}
static bool on_send_worker(void *ctx, uint64_t peer, const struct lp1_message *m)
{
    return socket_send(((struct tail_in *)ctx)->socket[0], peer, m);
}
static void on_reset_head(void *ctx)
{
    struct tail_in *t = ctx;
    struct error e;
    void *next = socket_connect(t->head, 1u << LP1_HEAD | 1u << LP1_HUB, &e);
    if (!next)
        return;
    socket_close(t->socket[1], 0);
    t->socket[1] = next;
}
static bool on_header(void *ctx, void *body)
{
    struct tail_in *t = ctx;
    if (!t->header)
        t->header = blob_share(body);
    return headers_agree(blob_span(t->header), blob_span(body), &t->told_mixture);
}
static void on_head_header(void *ctx, void *body) { (void)ctx, (void)body; }
static void on_free(void *ctx, void *body)
{
    (void)ctx;
    blob_drop(body);
}

/* Without its body a unit is asked for again. */
static void damaged_drop(struct lp1_message *m)
{
    for (size_t i = 0; i < m->nunit; i++) {
        struct lp1_unit *u = &m->unit[i];
        const struct blob *b = u->body;
        if (!b || crc32c(0, b->data, b->size) == u->c)
            continue;
        warn("unit %llu came damaged from a worker, and is asked for again", (unsigned long long)u->q);
        blob_drop(u->body);
        u->body = NULL;
    }
}

static bool serve(void *ctx, bool tick, double now)
{
    struct tail_in *t = ctx;
    static struct packet p;
    int got;
    for (int i = 0; i < SERVICE_BATCH && (got = socket_recv(t->socket[0], true, &p)); i++)
        if (got > 0) {
            damaged_drop(&p.m);
            lp1_tail_from_worker(t->tail, p.peer, &p.m, now);
            packet_drop(&p);
        }
    while ((got = socket_recv(t->socket[1], false, &p)))
        if (got > 0) {
            lp1_tail_from_head(t->tail, &p.m, now);
            packet_drop(&p);
        }
    if (tick)
        lp1_tail_tick(t->tail, now);
    lp1_tail_flush(t->tail, now);
    return !lp1_tail_finished(t->tail);
}

/* --- the operations -------------------------------------------------------------------------- */

static void waiting_tell(struct tail_in *t)
{
    struct lp1_tail_state s;
    double now = clock_seconds();
    if (now - t->told < 10)
        return;
    t->told = now;
    lp1_tail_state(t->tail, &s);
    if (s.differing > t->told_differing)
        warn("%llu units came twice with different bytes: some stage is not deterministic", (unsigned long long)s.differing);
    t->told_differing = s.differing;
    note("waiting for unit %llu: %s, %zu workers, %zu units behind it are here", (unsigned long long)s.taken,
         s.head ? "the head is there" : "no head yet", s.workers, s.held);
}

/* With the lock.  0 something came; -1 failed. */
static int wait_more(struct tail_in *t, struct error *e)
{
    int status;
    const char *why = lp1_tail_fatal(t->tail, &status);
    if (why)
        return error_set(e, status, "%s: %s", t->base.name, why);
    if (stop_asked())
        return error_set(e, STATUS_AGAIN, "stopped by a signal");
    service_unlock(&t->service);
    int rc = stream_in_waits(&t->base, e);
    service_lock(&t->service);
    if (rc < 0)
        return -1;
    waiting_tell(t);
    service_wait(&t->service);
    return 0;
}

static enum stream_event header_next(struct tail_in *t, struct error *e)
{
    while (!t->header)
        if (wait_more(t, e) < 0)
            return STREAM_FAILED;
    t->told_header = true;
    return header_read(&t->base.header, blob_span(t->header), e) < 0 ? STREAM_FAILED : STREAM_HEADER;
}

static enum stream_event unit_fill(struct tail_in *t, const struct lp1_unit *from, struct unit *u, struct error *e)
{
    struct blob *body = from->body;
    unit_begin(u, from->q, from->e);
    buf_append(&u->body, body->data, body->size);
    blob_drop(body);
    if (u->body.failed)
        return error_memory(e), STREAM_FAILED;
    if (unit_decode(u, from->k, e) < 0)
        return error_prefix(e, "%s: unit %llu", t->base.name, (unsigned long long)from->q), STREAM_FAILED;
    t->base.end.units++;
    t->base.end.samples += u->k;
    t->base.end.errors += u->failed;
    return STREAM_UNIT;
}

/* With the lock: those that are here, as far as they are small. */
static size_t units_take(struct tail_in *t)
{
    uint64_t bytes = 0;
    t->at = t->ntaken = 0;
    while (t->ntaken < TAKEN && bytes < TAKEN_BYTES && lp1_tail_take(t->tail, &t->taken[t->ntaken]))
        bytes += t->taken[t->ntaken++].n;
    return t->ntaken;
}

/* Waits for what comes next: the header, units (in t->taken), the end. */
static enum stream_event more_take(struct tail_in *t, struct error *e)
{
    enum stream_event event = STREAM_UNIT;
    double began = clock_seconds();
    service_lock(&t->service);
    if (!t->told_header) {
        event = header_next(t, e);
    } else {
        while (event == STREAM_UNIT && !units_take(t)) {
            if (lp1_tail_ended(t->tail))
                event = STREAM_END;
            else if (wait_more(t, e) < 0)
                event = STREAM_FAILED;
        }
    }
    bool waits = lp1_tail_ack_waits(t->tail);
    service_unlock(&t->service);
    if (waits)
        service_wake(&t->service);              /* the window has moved: HEAD should hear of it */
    t->base.waited += clock_seconds() - began;
    t->told_end = event == STREAM_END;
    return event;
}

static enum stream_event tail_next(struct stream_in *in, struct unit *u, struct error *e)
{
    struct tail_in *t = (struct tail_in *)in;
    if (t->told_end)
        return STREAM_EOF;
    if (t->at == t->ntaken) {
        enum stream_event event = more_take(t, e);
        if (event != STREAM_UNIT)
            return event;
    }
    return unit_fill(t, &t->taken[t->at++], u, e);
}

static void tail_commit(struct stream_in *in, uint64_t seq)
{
    struct tail_in *t = (struct tail_in *)in;
    service_lock(&t->service);
    lp1_tail_commit(t->tail, seq);
    service_unlock(&t->service);
    service_wake(&t->service);
}

static void tail_finish(struct stream_in *in) { ((struct tail_in *)in)->final = true; }

static void tail_close(struct stream_in *in)
{
    struct tail_in *t = (struct tail_in *)in;
    if (t->service.started && t->final) {
        service_lock(&t->service);
        lp1_tail_final(t->tail);
        service_unlock(&t->service);
        service_wake(&t->service);
    }
    service_end(&t->service, t->final);
    for (int i = 0; i < 2; i++)
        socket_close(t->socket[i], 1000);
    while (t->at < t->ntaken)
        blob_drop(t->taken[t->at++].body);
    lp1_tail_free(t->tail);
    blob_drop(t->header);
    if (t->lock >= 0)
        close(t->lock);
    free(t->head);
    stream_in_done(in);
    free(t);
}

static const struct stream_in_ops ops = { .next = tail_next, .commit = tail_commit, .finish = tail_finish,
                                          .close = tail_close };

static int prepare(struct tail_in *t, const char *spec, const struct stream_tail *start, struct error *e)
{
    const struct lp1_tail_out actions = { t, on_send_head, on_reset_head, on_send_worker, on_header, on_head_header,
                                          on_free };
    uint64_t incarnation = time_ns();
    if (*spec != '@')
        return error_set(e, STATUS_BAD, "'%s': the consumer binds its input and workers connect to it: '@%s'", spec, spec);
    if (!start->head)
        return error_set(e, STATUS_BAD, "'%s': --head says where the source is", spec);
    if (start->dir && incarnation_take(t, start->dir, &incarnation, e) < 0)
        return -1;
    t->head = strdup(start->head);
    t->tail = lp1_tail_new(start->run, incarnation, start->next, LP1_TAIL, BUDGET, &actions);
    if (!t->head || !t->tail)
        return error_memory(e);
    if (!(t->socket[0] = socket_bind(spec, e)) ||
        !(t->socket[1] = socket_connect(start->head, 1u << LP1_HEAD | 1u << LP1_HUB, e)))
        return -1;
    return service_start(&t->service, serve, t, t->socket, 2, e);
}

struct stream_in *tail_in_open(const char *spec, const struct stream_tail *start, struct error *e)
{
    struct tail_in *t = calloc(1, sizeof *t);
    if (!t) {
        error_memory(e);
        return NULL;
    }
    t->lock = -1;
    t->told = clock_seconds();
    if (stream_in_base(&t->base, &ops, spec, e) < 0) {
        free(t);
        return NULL;
    }
    if (prepare(t, spec, start, e) == 0)
        return &t->base;
    tail_close(&t->base);
    return NULL;
}
