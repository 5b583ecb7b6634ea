/* libcommon/stream/crew/member.c - one copy of a crew's pipeline: started, fed, read, and mourned */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/stream/crew/crew_impl.h"
#include "libcommon/sys/log.h"

static int no_memory(struct crew *c)
{
    struct error e;
    error_memory(&e);
    return crew_fail(c, &e);
}

void member_clear(struct member *m)
{
    outbox_clear(&m->out);
    wire_release(&m->wire);
    buf_release(&m->control);
    m->up = false;
}

static int member_start(struct crew *c, struct member *m, double now)
{
    struct error e;
    m->headed = m->ending = m->ended = false;
    if (running_start(c->p, c->cpus, &m->run, &e) < 0)
        return crew_fail(c, &e);
    m->up = true;
    m->starts++;
    m->q = 0;
    m->since = now;
    wire_init(&m->wire, m->run.out);
    m->wire.trusts = true;
    buf_init(&m->control, CONTROL_MAX);
    stream_sum_header(&m->sum, blob_span(c->header));
    return outbox_put_blob(&m->out, blob_share(c->header)) < 0 ? no_memory(c) : 0;
}

static int control_add(struct crew *c, struct member *m)
{
    return m->control.failed || outbox_put(&m->out, m->control.data, m->control.size) < 0 ? no_memory(c) : 0;
}

/* One unit's input into the copy's queue of writes. */
int member_give(struct crew *c, struct member *m, struct job *j, double now)
{
    uint64_t bad;
    struct control ctl = { .type = CONTROL_DATA, .q = m->q++ };
    struct blob *body = job_input(j, &ctl, &bad);
    if (!m->njob)
        m->since = now;
    m->held[m->njob].job = j;
    m->held[m->njob++].bytes = (size_t)ctl.n;
    m->bytes += (size_t)ctl.n;
    if (!body)
        return no_memory(c);
    buf_clear(&m->control);
    stream_sum_unit(&m->sum, &m->control, &ctl, body->data, bad);
    if (control_add(c, m) < 0) {
        blob_drop(body);
        return -1;
    }
    int rc = outbox_put_blob(&m->out, body);
    m->held[m->njob - 1].until = m->out.put;
    return rc < 0 ? no_memory(c) : 0;
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
        return crew_fail(c, &e);
    }
    if (rc > 0 || j->at > at) {
        c->given_up++;
        warn("unit %llu, sample %llu: %s, three times with it alone: it becomes an error record",
             (unsigned long long)j->q, (unsigned long long)at, how);
    }
    if (rc > 0)
        deliver(c, j, body, crc);
    else
        crew_wait_first(c, j);
    return 0;
}

/* how: what was seen, if it is not in the stages' statuses. */
static int member_died(struct crew *c, struct member *m, const char *how, double now)
{
    struct error e;
    char text[400];
    int status, n = m->njob;
    running_kill(&m->run, how ? 0 : PATIENCE);
    member_clear(m);
    int at = running_culprit(c->p, &m->run, text, sizeof text, &status);
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
        return crew_fail(c, &e);
    }
    note("%s, holding %d unit%s: trying %s again", text, n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
    m->start_at = now + (m->starts > STARTS ? 0.1 * (m->starts < 10 ? m->starts : 10) : 0);
    if (n == 1)
        return died_alone(c, m->held[0].job, stage, text);
    while (n-- > 0) {
        m->held[n].job->alone = true;
        crew_wait_first(c, m->held[n].job);
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
            return no_memory(c);
        c->out.header(c->out.ctx, blob_share(c->made_header));
    } else if (c->made_header->size != header.size || memcmp(c->made_header->data, header.data, header.size)) {
        error_set(&e, STATUS_BAD, "'%s' makes another header each time it is started", c->names);
        return crew_fail(c, &e);
    }
    return 0;
}

static int unit_came(struct crew *c, struct member *m, struct blob *body, double now)
{
    struct error e;
    struct blob *out = NULL;
    if (!m->njob || m->out.gone < m->held[0].until) {   /* what it has not been written it cannot have read */
        blob_drop(body);
        error_set(&e, STATUS_BAD, "'%s' gives units that it was not given: it is no filter", c->names);
        return crew_fail(c, &e);
    }
    struct job *j = m->held[0].job;
    uint32_t crc = 0;
    m->bytes -= m->held[0].bytes;
    memmove(m->held, m->held + 1, (size_t)--m->njob * sizeof *m->held);
    m->since = now;
    m->starts = 0;
    m->came++;
    int rc = job_answer(j, &m->wire.c, body, &out, &crc, &e);
    if (rc < 0) {
        job_free(j);
        error_prefix(&e, "'%s'", c->names);
        return crew_fail(c, &e);
    }
    if (rc)
        deliver(c, j, out, crc);
    else
        crew_wait_first(c, j);
    return 0;
}

/* All that has been read.  1: fine; 0: the copy is at its end. */
static int output_take(struct crew *c, struct member *m, double now)
{
    struct span header;
    struct blob *body;
    struct error e;
    for (;;) {
        /* What a sample that was sent alone becomes is put together in memory. */
        m->wire.shadows = m->njob && !m->held[0].job->sample ? c->shadows : NULL;
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
                return crew_fail(c, &e);
            }
            return member_died(c, m, "wrote something that is no stream", now);
        }
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
            running_wait(&m->run);
            member_clear(m);
            if (running_culprit(c->p, &m->run, text, sizeof text, &status) < 0)
                return 0;
            error_set(&e, STATUS_AGAIN, "%s after its last unit", text);
            return crew_fail(c, &e);
        }
        if (got == 2)
            return 0;
        if (output_take(c, m, now) < 0)
            return -1;
    }
    return 0;
}

int member_end(struct crew *c, struct member *m)
{
    m->ending = true;
    buf_clear(&m->control);
    stream_sum_end(&m->sum, &m->control);
    return control_add(c, m);
}

void member_write(struct member *m)
{
    if (m->up)
        outbox_write(&m->out, m->run.in);
}

int member_step(struct crew *c, struct member *m, double now)
{
    if (!m->up && (!c->ending || c->waiting) && now >= m->start_at && member_start(c, m, now) < 0)
        return -1;
    member_write(m);
    double since = m->since;
    m->came = 0;
    if (m->up && m->readable && member_read(c, m, now) < 0)
        return -1;
    m->readable = false;
    if (m->came) {
        double one = (now - since) / m->came + 1e-9;
        m->pace = m->pace > 0 ? (m->pace + one) / 2 : one;
    }
    if (m->up && m->njob && c->timeout > 0 && now - m->since > c->timeout) {
        char how[80];
        snprintf(how, sizeof how, "gave no result for %.0f s and was killed", c->timeout);
        return member_died(c, m, how, now);
    }
    return 0;
}

