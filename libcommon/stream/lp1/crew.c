/* libcommon/stream/lp1/crew.c - see crew.h */
#include "libcommon/stream/lp1/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcommon/stream/lp1/wire.h"
#include "libcommon/sys/log.h"

enum { DEPTH = 64, DEEP_BYTES = 1 << 20, SEGMENTS = 2 * DEPTH + 4, STARTS = 3, READS = 16, COMBINE_MIN = 64 << 10, PATIENCE = 200 };

struct member {
    bool up, headed, ending;            /* its header came; its end of stream was sent */
    bool ended, readable;               /* its own came; poll says so */
    struct running run;
    struct wire wire;
    struct { struct job *job; size_t bytes; } held[DEPTH];      /* in the order they were given */
    int njob;
    size_t bytes;
    struct { struct blob *blob; size_t at; } seg[SEGMENTS];     /* to be written */
    int nseg;
    uint64_t q;                         /* of the next unit, as the copy counts them */
    struct stream_end sent;
    uint32_t crc;
    double since, start_at;             /* of its last sign of life; not before this */
    int starts;                         /* in a row without a result */
};

struct crew {
    const struct pipeline *p;
    const struct cpus *cpus;
    double timeout;
    struct crew_out out;
    struct member member[CREW_MAX];
    int copies;
    struct blob *header, *made_header;
    struct job *waiting, *last;         /* last: of those, if there are any */
    size_t nwaiting;
    bool ending, failed;
    struct error error;
    uint64_t deaths, given_up;
    char names[200];
};

struct crew *crew_new(const struct pipeline *p, int copies, const struct cpus *cpus, double timeout, const struct crew_out *out,
                      struct error *e)
{
    struct crew *c = calloc(1, sizeof *c);
    if (!c) {
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    *c = (struct crew){ .p = p, .copies = copies, .cpus = cpus, .timeout = timeout, .out = *out };
    for (int i = 0; i < p->n; i++) {
        size_t at = strlen(c->names);
        snprintf(c->names + at, sizeof c->names - at, "%s%s", i ? "|" : "", pipeline_name(p, i));
    }
    return c;
}

static int failed(struct crew *c, const struct error *why)
{
    if (!c->failed)
        c->error = *why;
    c->failed = true;
    return -1;
}

/* --- what is waiting to be computed ------------------------------------------------------- */

static void wait_first(struct crew *c, struct job *j)
{
    j->next = c->waiting;
    c->waiting = j;
    if (!j->next)
        c->last = j;
    c->nwaiting++;
}

/* By number, so that what all wait for goes first.  Mostly that is at the end. */
static void wait_in_order(struct crew *c, struct job *j)
{
    struct job **p = c->waiting && (c->last->alone || c->last->q < j->q) ? &c->last->next : &c->waiting;
    while (*p && ((*p)->alone || (*p)->q < j->q))
        p = &(*p)->next;
    j->next = *p;
    *p = j;
    if (!j->next)
        c->last = j;
    c->nwaiting++;
}

static struct job *wait_take(struct crew *c)
{
    struct job *j = c->waiting;
    c->waiting = j->next;
    c->nwaiting--;
    return j;
}

/* --- one copy -------------------------------------------------------------------------------- */

static int seg_add(struct crew *c, struct member *m, struct blob *b)
{
    struct error e;
    if (!b) {
        error_set(&e, STATUS_AGAIN, "out of memory");
        return failed(c, &e);
    }
    m->seg[m->nseg].blob = b;
    m->seg[m->nseg++].at = 0;
    return 0;
}

static int control_add(struct crew *c, struct member *m, const struct control *ctl)
{
    struct buf b;
    buf_init(&b, CONTROL_MAX);
    control_put(&b, ctl);
    if (ctl->type == CONTROL_DATA)
        m->crc = crc32c(m->crc, b.data, b.size);
    struct blob *blob = b.failed ? NULL : blob_copy(span_of(b.data, b.size));
    buf_release(&b);
    return seg_add(c, m, blob);
}

static void member_clear(struct member *m)
{
    for (int i = 0; i < m->nseg; i++)
        blob_drop(m->seg[i].blob);
    m->nseg = 0;
    wire_release(&m->wire);
    m->up = false;
}

static int member_start(struct crew *c, struct member *m, double now)
{
    struct error e;
    m->headed = m->ending = m->ended = false;
    if (pipeline_start(c->p, c->cpus, &m->run, &e) < 0)
        return failed(c, &e);
    m->up = true;
    m->starts++;
    m->q = 0;
    m->sent = (struct stream_end){ 0 };
    m->since = now;
    wire_init(&m->wire, m->run.out);
    m->crc = crc32c(0, c->header->data, c->header->size);
    return seg_add(c, m, blob_share(c->header));
}

/* One unit's input into the copy's queue of writes. */
static int job_send(struct crew *c, struct member *m, struct job *j, double now)
{
    uint64_t bad;
    struct control ctl = { .type = CONTROL_DATA, .q = m->q++ };
    struct blob *body = job_input(j, &ctl, &bad);
    if (!m->njob)
        m->since = now;
    m->held[m->njob].job = j;
    m->held[m->njob++].bytes = (size_t)ctl.n;
    m->bytes += (size_t)ctl.n;
    m->sent.units++;
    m->sent.samples += ctl.k;
    m->sent.errors += bad;
    if (!body || control_add(c, m, &ctl) < 0) {
        blob_drop(body);
        return seg_add(c, m, NULL);
    }
    m->crc = ctl.n < COMBINE_MIN ? crc32c(m->crc, body->data, body->size) : crc32c_combine(m->crc, ctl.c, ctl.n);
    return seg_add(c, m, body);
}

static bool member_takes(const struct member *m, const struct job *j)
{
    if (!m->up || m->ending || (m->njob && (j->alone || m->held[0].job->alone)))
        return false;
    return m->njob < 2 || (m->njob < DEPTH && m->bytes + j->body->size < DEEP_BYTES);
}

static int hand_out(struct crew *c, double now)
{
    while (c->waiting) {
        struct member *best = NULL;
        for (int i = 0; i < c->copies; i++) {
            struct member *m = &c->member[i];
            if (member_takes(m, c->waiting) && (!best || m->njob < best->njob))
                best = m;
        }
        if (!best)
            return 0;
        if (job_send(c, best, wait_take(c), now) < 0)
            return -1;
    }
    return 0;
}

static void deliver(struct crew *c, struct job *j, struct blob *body, uint32_t crc)
{
    struct control ctl = { .type = CONTROL_DATA, .q = j->q, .e = j->e, .k = j->k, .n = body->size, .c = crc };
    job_free(j);
    c->out.result(c->out.ctx, &ctl, body);
}

/* --- a copy that died --------------------------------------------------------------------------- */

static int died_alone(struct crew *c, struct job *j, const char *stage, const char *how)
{
    struct error e;
    struct blob *body = NULL;
    uint64_t at = j->at;
    uint32_t crc = 0;
    int rc = job_died(j, stage, how, &body, &crc, &e);
    if (rc < 0) {
        job_free(j);
        return failed(c, &e);
    }
    if (rc > 0 || j->at > at) {
        c->given_up++;
        warn("unit %llu, sample %llu: %s, three times with it alone: it becomes an error record", (unsigned long long)j->q, (unsigned long long)at, how);
    }
    if (rc > 0)
        deliver(c, j, body, crc);
    else
        wait_first(c, j);
    return 0;
}

/* how: what was seen, if it is not in the stages' statuses. */
static int member_died(struct crew *c, struct member *m, const char *how, double now)
{
    struct error e;
    char text[400];
    int status, n = m->njob;
    pipeline_kill(&m->run, how ? 0 : PATIENCE);
    member_clear(m);
    int at = pipeline_culprit(c->p, &m->run, text, sizeof text, &status);
    if (at < 0 || (how && status))
        snprintf(text, sizeof text, "'%s' %s", c->names, how ? how : "ended before its input did");
    const char *stage = at >= 0 ? pipeline_name(c->p, at) : c->names;
    c->deaths++;
    m->njob = 0;
    m->bytes = 0;
    if (!m->headed && (status || m->starts >= STARTS)) {
        error_set(&e, status == STATUS_BAD ? STATUS_BAD : STATUS_AGAIN, "%s before it made a header", text);
        for (int i = 0; i < n; i++)
            job_free(m->held[i].job);
        return failed(c, &e);
    }
    note("%s, holding %d unit%s: trying %s again", text, n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
    m->start_at = now + (m->starts > STARTS ? 0.1 * (m->starts < 10 ? m->starts : 10) : 0);
    if (n == 1)
        return died_alone(c, m->held[0].job, stage, text);
    while (n-- > 0) {
        m->held[n].job->alone = true;
        wait_first(c, m->held[n].job);
    }
    return 0;
}

/* --- its output ------------------------------------------------------------------------------------ */

static int header_came(struct crew *c, struct member *m, struct span header)
{
    struct error e;
    m->headed = true;
    if (!c->made_header) {
        c->made_header = blob_copy(header);
        if (!c->made_header)
            return seg_add(c, m, NULL);
        c->out.header(c->out.ctx, blob_share(c->made_header));
    } else if (c->made_header->size != header.size || memcmp(c->made_header->data, header.data, header.size)) {
        error_set(&e, STATUS_BAD, "'%s' makes another header each time it is started", c->names);
        return failed(c, &e);
    }
    return 0;
}

static int unit_came(struct crew *c, struct member *m, struct blob *body, double now)
{
    struct error e;
    struct blob *out = NULL;
    if (!m->njob) {
        blob_drop(body);
        error_set(&e, STATUS_BAD, "'%s' gives units that it was not given: it is no filter", c->names);
        return failed(c, &e);
    }
    struct job *j = m->held[0].job;
    uint32_t crc = 0;
    m->bytes -= m->held[0].bytes;
    memmove(m->held, m->held + 1, (size_t)--m->njob * sizeof *m->held);
    m->since = now;
    m->starts = 0;
    int rc = job_answer(j, &m->wire.c, body, &out, &crc, &e);
    if (rc < 0) {
        job_free(j);
        error_prefix(&e, "'%s'", c->names);
        return failed(c, &e);
    }
    if (rc)
        deliver(c, j, out, crc);
    else
        wait_first(c, j);
    return 0;
}

/* All that has been read.  1: fine; 0: the copy is at its end. */
static int output_take(struct crew *c, struct member *m, double now)
{
    struct span header;
    struct blob *body;
    struct error e;
    for (;;)
        switch (wire_next(&m->wire, &header, &body, &e)) {
        case WIRE_MORE:
            return 1;
        case WIRE_HEADER:
            if (header_came(c, m, header) < 0)
                return -1;
            break;
        case WIRE_UNIT:
            if (unit_came(c, m, body, now) < 0)
                return -1;
            break;
        case WIRE_END:
            m->ended = true;
            break;
        case WIRE_BAD:
            if (!m->headed) {
                error_prefix(&e, "'%s' does not write a stream", c->names);
                return failed(c, &e);
            }
            return member_died(c, m, "wrote something that is no stream", now);
        }
}

static int member_read(struct crew *c, struct member *m, double now)
{
    struct error e;
    for (int i = 0; i < READS && m->up; i++) {
        int got = wire_fill(&m->wire, &e);
        if (got <= 0) {
            if (!m->ended || !m->ending)
                return member_died(c, m, NULL, now);
            int status;
            char text[200];
            pipeline_wait(&m->run);
            member_clear(m);
            if (pipeline_culprit(c->p, &m->run, text, sizeof text, &status) < 0)
                return 0;
            error_set(&e, STATUS_AGAIN, "%s after its last unit", text);
            return failed(c, &e);
        }
        if (got == 2)
            return 0;
        if (output_take(c, m, now) < 0)
            return -1;
    }
    return 0;
}

static void member_write(struct member *m)
{
    while (m->up && m->nseg) {
        struct iovec v[16];
        int n = 0;
        for (; n < m->nseg && n < 16; n++)
            v[n] = (struct iovec){ m->seg[n].blob->data + m->seg[n].at, m->seg[n].blob->size - m->seg[n].at };
        ssize_t done = writev(m->run.in, v, n);
        if (done < 0)
            return;                             /* full; or dead, which its output will tell */
        int gone = 0;
        for (size_t left = (size_t)done; gone < m->nseg; gone++) {
            size_t rest = m->seg[gone].blob->size - m->seg[gone].at;
            if (left < rest) {
                m->seg[gone].at += left;
                break;
            }
            left -= rest;
            blob_drop(m->seg[gone].blob);
        }
        memmove(m->seg, m->seg + gone, (size_t)(m->nseg - gone) * sizeof *m->seg);
        m->nseg -= gone;
    }
}

/* --- the crew ------------------------------------------------------------------------------------------ */

int crew_header(struct crew *c, struct span header, double now, struct error *e)
{
    if (c->header && c->header->size == header.size && !memcmp(c->header->data, header.data, header.size))
        return 0;
    if (c->header)
        return error_set(e, STATUS_AGAIN, "the input's header has changed: '%s' must start anew", c->names);
    c->header = blob_copy(header);
    if (!c->header)
        return error_set(e, STATUS_AGAIN, "out of memory");
    return crew_step(c, now, e);
}

int crew_give(struct crew *c, const struct control *unit, struct blob *body, double now, struct error *e)
{
    struct job *j = job_new(unit, body, e);
    if (!j)
        return -1;
    wait_in_order(c, j);
    if (hand_out(c, now) < 0) {
        *e = c->error;
        return -1;
    }
    return 0;
}

size_t crew_take_back(struct crew *c, uint64_t *q, size_t max)
{
    size_t n = 0;
    while (c->waiting && n < max) {
        struct job *j = wait_take(c);
        q[n++] = j->q;
        job_free(j);
    }
    return n;
}

void crew_end(struct crew *c, double now)
{
    (void)now;
    c->ending = true;
}

bool crew_ended(const struct crew *c)
{
    for (int i = 0; i < c->copies; i++)
        if (c->member[i].up || c->member[i].njob)
            return false;
    return c->ending && !c->waiting;
}

static int member_end(struct crew *c, struct member *m)
{
    struct control end = { .type = CONTROL_END, .end = m->sent, .c = m->crc };
    m->ending = true;
    return control_add(c, m, &end);
}

size_t crew_poll(const struct crew *c, struct pollfd *p)
{
    size_t n = 0;
    for (int i = 0; i < c->copies; i++) {
        const struct member *m = &c->member[i];
        if (!m->up)
            continue;
        p[n++] = (struct pollfd){ .fd = m->run.out, .events = POLLIN };
        if (m->nseg)
            p[n++] = (struct pollfd){ .fd = m->run.in, .events = POLLOUT };
    }
    return n;
}

void crew_polled(struct crew *c, const struct pollfd *p, size_t n)
{
    size_t at = 0;
    for (int i = 0; i < c->copies && at < n; i++) {
        struct member *m = &c->member[i];
        if (!m->up || p[at].fd != m->run.out)
            continue;
        m->readable = p[at++].revents != 0;
        at += at < n && p[at].fd == m->run.in;
    }
}

double crew_wakes(const struct crew *c, double now)
{
    double at = now + 3600;
    for (int i = 0; i < c->copies; i++) {
        const struct member *m = &c->member[i];
        if (!m->up && c->header && m->start_at < at && (!c->ending || c->waiting))
            at = m->start_at;
        if (m->up && m->njob && c->timeout > 0 && m->since + c->timeout < at)
            at = m->since + c->timeout;
    }
    return at > now ? at - now : 0;
}

static int member_step(struct crew *c, struct member *m, double now)
{
    if (!m->up && (!c->ending || c->waiting) && now >= m->start_at && member_start(c, m, now) < 0)
        return -1;
    member_write(m);
    if (m->up && m->readable && member_read(c, m, now) < 0)
        return -1;
    m->readable = false;
    if (m->up && m->njob && c->timeout > 0 && now - m->since > c->timeout) {
        char how[80];
        snprintf(how, sizeof how, "gave no result for %.0f s and was killed", c->timeout);
        return member_died(c, m, how, now);
    }
    return 0;
}

int crew_step(struct crew *c, double now, struct error *e)
{
    for (int i = 0; c->header && !c->failed && i < c->copies; i++)
        (void)member_step(c, &c->member[i], now);
    if (!c->failed)
        (void)hand_out(c, now);
    for (int i = 0; !c->failed && i < c->copies; i++) {
        struct member *m = &c->member[i];
        if (c->ending && !c->waiting && m->up && !m->njob && !m->ending)
            (void)member_end(c, m);
        member_write(m);
        if (m->up && m->ending && !m->nseg && m->run.in >= 0) {
            close(m->run.in);
            m->run.in = -1;
        }
    }
    if (!c->failed)
        return 0;
    *e = c->error;
    return -1;
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->copies; i++) {
        struct member *m = &c->member[i];
        if (m->up) {
            pipeline_kill(&m->run, 0);
            member_clear(m);
        }
        for (int k = 0; k < m->njob; k++)
            job_free(m->held[k].job);
    }
    while (c->waiting)
        job_free(wait_take(c));
    blob_drop(c->header);
    blob_drop(c->made_header);
    free(c);
}

void crew_show(const struct crew *c, struct crew_state *s)
{
    *s = (struct crew_state){ .copies = c->copies, .waiting = c->nwaiting, .deaths = c->deaths, .given_up = c->given_up };
    for (int i = 0; i < c->copies; i++) {
        s->up += c->member[i].up;
        s->running += (size_t)c->member[i].njob;
    }
}
