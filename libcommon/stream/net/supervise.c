/* libcommon/stream/net/supervise.c - see supervise.h */
#include "libcommon/stream/net/supervise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/cli/metrics.h"
#include "libcommon/stream/facts.h"
#include "libcommon/stream/lp1/worker.h"
#include "libcommon/stream/net/socket.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { BATCH = 64, SLOTS_MIN = 32, LEAVE_SECONDS = 60, ALONE_TELL = 5 };
#define TICK 0.1

struct supervisor {
    const struct common *c;
    struct metrics *metrics;
    const char *spec[2];
    void *socket[2];
    struct lp1_worker *worker;
    struct crew *crew;
    struct blob *header;        /* what is made */
    double began, ticked, told, left_at;
    double alone_at;            /* since when there is no head; 0: it was said */
    double starved, blocked;    /* seconds without a unit; with results that nobody takes */
    struct error error;
    bool failed;
};

static int fail(struct supervisor *s, const struct error *e)
{
    if (!s->failed)
        s->error = *e;
    s->failed = true;
    return -1;
}

/* --- actions ---------------------------------------------------------------------------- */

static bool on_send(void *ctx, enum lp1_link to, const struct lp1_message *m)
{
    return socket_send(((struct supervisor *)ctx)->socket[to], 0, m);
}

static void *dial(struct supervisor *s, enum lp1_link l, struct error *e)
{
    return socket_connect(s->spec[l], l == LP1_UP ? 1u << LP1_HEAD | 1u << LP1_HUB : 1u << LP1_TAIL | 1u << LP1_HUB, e);
}

static void on_reset(void *ctx, enum lp1_link l)
{
    struct supervisor *s = ctx;
    struct error e;
    void *next = dial(s, l, &e);
    if (!next)
        return;
    socket_close(s->socket[l], 0);
    s->socket[l] = next;
}

static void on_header(void *ctx, void *body)
{
    struct supervisor *s = ctx;
    struct error e;
    if (crew_header(s->crew, blob_span(body), clock_seconds(), &e) < 0)
        fail(s, &e);
}

static void on_run(void *ctx, const struct lp1_unit *u)
{
    struct supervisor *s = ctx;
    struct error e;
    struct control c = { .type = CONTROL_DATA, .q = u->q, .e = u->e, .k = u->k, .n = u->n, .c = u->c };
    if (crew_give(s->crew, &c, u->body, clock_seconds(), &e) < 0)
        fail(s, &e);
}

static void on_free(void *ctx, void *body)
{
    (void)ctx;
    blob_drop(body);
}

static void on_made_header(void *ctx, struct blob *header)
{
    struct supervisor *s = ctx;
    s->header = header;
    lp1_worker_header(s->worker, header, clock_seconds());
}

static void on_result(void *ctx, const struct control *c, struct blob *body)
{
    struct supervisor *s = ctx;
    struct lp1_unit u = { .q = c->q, .e = c->e, .k = c->k, .n = c->n, .c = c->c, .body = body };
    lp1_worker_result(s->worker, &u, clock_seconds());
}

/* --- the loop ------------------------------------------------------------------------------- */

static void tell(struct supervisor *s, bool final)
{
    struct lp1_worker_state w;
    struct crew_state k;
    struct error e = { 0 };
    double now = clock_seconds(), seconds = now - s->began;
    if (!final && now - s->told < 1)
        return;
    s->told = now;
    lp1_worker_state(s->worker, &w);
    crew_show(s->crew, &k);
    const char *on = !w.up[LP1_UP] ? "no head" : !w.up[LP1_DOWN] ? "no consumer" : s->starved > seconds / 2 ? "starved" :
                     s->blocked > seconds / 2 ? "blocked" : "busy";
    progress_line(final, "%llu units done, %.1f/s, %zu running, %zu to be taken, %s", (unsigned long long)w.done,
                  seconds > 0 ? (double)w.done / seconds : 0.0, w.running, w.offered, on);
    struct facts f = { .stage = log_program(), .units_in = w.done + w.running + w.offered, .units = w.done,
                       .samples = FACTS_UNKNOWN, .errors = FACTS_UNKNOWN, .window = w.running + w.offered,
                       .seconds = seconds, .wait_in = s->starved, .wait_out = s->blocked };
    facts_begin(s->metrics, &f);
    metrics_int(s->metrics, "deaths", (int64_t)k.deaths);
    metrics_end(s->metrics, &e);
}

/* A head that is only slow to start is not worth a word. */
static void alone_tell(struct supervisor *s, double now)
{
    struct lp1_worker_state w;
    lp1_worker_state(s->worker, &w);
    if (w.up[LP1_UP])
        s->alone_at = now;
    if (s->alone_at == 0 || now - s->alone_at < ALONE_TELL)
        return;
    note("no head answers at '%s': this goes on looking for one, %.0f s in all, and ends with status %d then",
         s->spec[LP1_UP], LP1_ALONE, STATUS_AGAIN);
    s->alone_at = 0;
}

static void receive(struct supervisor *s, enum lp1_link l, double now)
{
    static struct packet p;
    int got;
    for (int i = 0; i < BATCH && (got = socket_recv(s->socket[l], false, &p)); i++)
        if (got > 0) {
            lp1_worker_message(s->worker, l, &p.m, now);
            packet_drop(&p);
        }
}

/* Until something can be read or written, or a tick is due. */
static void wait_for_events(struct supervisor *s)
{
    static zmq_pollitem_t item[2 * CREW_MAX + 3];
    static struct pollfd fd[2 * CREW_MAX];
    struct lp1_worker_state w;
    double now = clock_seconds(), wait = crew_wakes(s->crew, now);
    size_t n = crew_poll(s->crew, fd);
    item[0] = (zmq_pollitem_t){ .socket = s->socket[0], .events = ZMQ_POLLIN };
    item[1] = (zmq_pollitem_t){ .socket = s->socket[1], .events = ZMQ_POLLIN };
    item[2] = (zmq_pollitem_t){ .fd = stop_fd(), .events = s->left_at > 0 ? 0 : ZMQ_POLLIN };     /* told once is enough */
    for (size_t i = 0; i < n; i++) {
        int events = (fd[i].events & POLLIN ? ZMQ_POLLIN : 0) | (fd[i].events & POLLOUT ? ZMQ_POLLOUT : 0);
        item[i + 3] = (zmq_pollitem_t){ .fd = fd[i].fd, .events = (short)events };
    }
    lp1_worker_state(s->worker, &w);
    zmq_poll(item, (int)n + 3, (long)((wait < TICK ? wait : TICK) * 1000) + 1);
    for (size_t i = 0; i < n; i++)
        fd[i].revents = item[i + 3].revents;
    crew_polled(s->crew, fd, n);
    double waited = clock_seconds() - now;
    if (!w.running)
        *(w.offered ? &s->blocked : &s->starved) += waited;
}

static void leave(struct supervisor *s, double now)
{
    uint64_t back[LP1_LIST];
    size_t n = crew_take_back(s->crew, back, LP1_LIST);
    s->left_at = now;
    note("leaving: %zu units are given back, what runs is finished", n);
    lp1_worker_leave(s->worker, back, n, now);
}

/* 0 over; -1 failed. */
static int loop(struct supervisor *s)
{
    struct error e;
    for (;;) {
        double now = clock_seconds();
        receive(s, LP1_UP, now);
        receive(s, LP1_DOWN, now);
        if (!s->failed && crew_step(s->crew, now, &e) < 0)
            fail(s, &e);
        if (now - s->ticked >= TICK) {
            s->ticked = now;
            lp1_worker_tick(s->worker, now);
        }
        lp1_worker_flush(s->worker, now);
        int status;
        const char *why = lp1_worker_fatal(s->worker, &status);
        if (why) {
            error_set(&e, status, "%s", why);
            fail(s, &e);
        }
        if (s->failed)
            return -1;
        if (lp1_worker_dismissed(s->worker))
            return 0;
        if (stop_asked() && s->left_at == 0)
            leave(s, now);
        if (s->left_at > 0 && (lp1_worker_finished(s->worker) || now - s->left_at > LEAVE_SECONDS)) {
            error_set(&e, STATUS_AGAIN, "stopped by a signal");
            return fail(s, &e);
        }
        tell(s, false);
        alone_tell(s, now);
        wait_for_events(s);
    }
}

/* The run is over: the copies end in order, for a moment. */
static void crew_dismiss(struct supervisor *s)
{
    struct error e;
    double until = clock_seconds() + 5;
    uint64_t back[LP1_LIST];
    while (crew_take_back(s->crew, back, LP1_LIST))
        ;
    crew_end(s->crew);
    while (!crew_ended(s->crew) && clock_seconds() < until && crew_step(s->crew, clock_seconds(), &e) == 0)
        wait_for_events(s);
}

int worker_supervise(const struct fan *f, const struct common *c)
{
    struct error e = { 0 };
    struct supervisor s = { .c = c, .spec = { c->in, c->out }, .began = clock_seconds(), .alone_at = clock_seconds() };
    char host[LP1_TEXT];
    uint64_t slots = (uint64_t)(2 * f->copies > SLOTS_MIN ? 2 * f->copies : SLOTS_MIN);
    if (gethostname(host, sizeof host - 20) < 0)
        strcpy(host, "?");
    host[sizeof host - 21] = 0;
    snprintf(host + strlen(host), 20, ":%ld", (long)getpid());
    stop_install();
    const struct lp1_worker_out actions = { &s, on_send, on_reset, on_header, on_run, on_free };
    s.worker = lp1_worker_new(incarnation_random(), slots, host, &actions);
    const struct crew_out results = { &s, on_made_header, on_result };
    s.crew = s.worker ? crew_new(&f->pipeline, f->copies, &f->cpus, f->timeout, NULL, &results, &e) : NULL;
    if (!s.crew)
        error_memory(&e);
    bool told = s.crew && ((s.metrics = metrics_open(c->metrics, &e)) || !e.status);
    bool dialled = told && (s.socket[LP1_UP] = dial(&s, LP1_UP, &e)) && (s.socket[LP1_DOWN] = dial(&s, LP1_DOWN, &e));
    int rc = dialled ? loop(&s) : fail(&s, &e);
    if (s.crew && s.socket[LP1_DOWN]) {
        if (rc == 0)
            crew_dismiss(&s);
        tell(&s, true);
    }
    if (rc < 0)
        warn("%s", s.error.text);
    metrics_close(s.metrics);
    crew_free(s.crew);
    lp1_worker_free(s.worker);
    blob_drop(s.header);
    for (int i = 0; i < 2; i++)
        socket_close(s.socket[i], 1000);
    return rc < 0 ? s.error.status : STATUS_OK;
}

int worker_supervise_self(const struct common *c)
{
    struct error e = { 0 };
    struct fan f = { .copies = 1, .timeout = 600 };
    char *const *argv = opt_argv();
    char self[4096], *words[PIPELINE_WORDS];
    int n = 0;
    ssize_t got = readlink("/proc/self/exe", self, sizeof self - 1);
    if (got > 0)
        self[got] = 0;
    words[n++] = got > 0 ? self : argv[0];
    for (int i = 1; argv[i] && n < PIPELINE_WORDS - 8; i++)
        words[n++] = argv[i];
    if (n > 1 && !strcmp(words[n - 1], "--"))
        n--;
    /* A later option is the one that counts; the supervisor tells the metrics. */
    static char *const last[] = { "--in", "-", "--out", "-", "--metrics", "/dev/null", NULL };
    for (int i = 0; last[i]; i++)
        words[n++] = last[i];
    words[n] = NULL;
    if (pipeline_single(&f.pipeline, words, &e) < 0) {
        warn("%s", e.text);
        return e.status;
    }
    return worker_supervise(&f, c);
}
