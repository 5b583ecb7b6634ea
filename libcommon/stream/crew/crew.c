/* libcommon/stream/crew/crew.c - see crew.h: which copy gets what; one copy is member.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/stream/crew/crew_impl.h"

struct crew *crew_new(const struct pipeline *p, int copies, const struct cpus *cpus, double timeout, struct shadows *shadows,
                      const struct crew_out *out, struct error *e)
{
    struct crew *c = calloc(1, sizeof *c);
    if (!c) {
        error_memory(e);
        return NULL;
    }
    *c = (struct crew){ .p = p, .copies = copies, .cpus = cpus, .timeout = timeout, .shadows = shadows, .out = *out };
    for (int i = 0; i < p->n; i++) {
        size_t at = strlen(c->names);
        snprintf(c->names + at, sizeof c->names - at, "%s%s", i ? "|" : "", pipeline_name(p, i));
    }
    return c;
}

int crew_fail(struct crew *c, const struct error *why)
{
    if (!c->failed)
        c->error = *why;
    c->failed = true;
    return -1;
}

/* --- what is waiting to be computed ------------------------------------------------------- */

void crew_wait_first(struct crew *c, struct job *j)
{
    j->next = c->waiting;
    c->waiting = j;
    if (!j->next)
        c->last = j;
    c->nwaiting++;
    c->bytes += j->body->size;
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
    c->bytes += j->body->size;
}

static struct job *wait_take(struct crew *c)
{
    struct job *j = c->waiting;
    c->waiting = j->next;
    c->nwaiting--;
    c->bytes -= j->body->size;
    return j;
}

static bool member_takes(const struct member *m, const struct job *j)
{
    if (!m->up || m->ending || (m->njob && (j->alone || m->held[0].job->alone)))
        return false;
    if (m->njob < 2)
        return true;
    return m->njob < DEPTH && m->bytes + j->body->size < DEEP_BYTES && m->pace > 0 && m->njob * m->pace < DEEP_SECONDS;
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
        if (member_give(c, best, wait_take(c), now) < 0)
            return -1;
    }
    return 0;
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
        return error_memory(e);
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

bool crew_wants(const struct crew *c) { return !c->nwaiting || c->bytes < AHEAD_BYTES; }

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

void crew_end(struct crew *c) { c->ending = true; }

bool crew_ended(const struct crew *c)
{
    for (int i = 0; i < c->copies; i++)
        if (c->member[i].up || c->member[i].njob)
            return false;
    return c->ending && !c->waiting;
}

size_t crew_poll(const struct crew *c, struct pollfd *p)
{
    size_t n = 0;
    for (int i = 0; i < c->copies; i++) {
        const struct member *m = &c->member[i];
        if (!m->up)
            continue;
        p[n++] = (struct pollfd){ .fd = m->run.out, .events = POLLIN };
        if (m->out.n)
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
        if (m->up && m->ending && !m->out.n && m->run.in >= 0) {
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
            running_kill(&m->run, 0);
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
