/* libcommon/stream/crew/job.c - see job.h */
#include "libcommon/stream/crew/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/crew/body.h"

struct job *job_new(const struct control *c, struct blob *body, struct error *e)
{
    int64_t failed = body_failed(blob_span(body), c->k);
    struct job *j = failed < 0 ? NULL : calloc(1, sizeof *j);
    if (!j) {
        if (failed < 0)
            error_set(e, STATUS_BAD, "unit %llu: its body is not {\"samples\": [...]} of %llu maps",
                      (unsigned long long)c->q, (unsigned long long)c->k);
        else
            error_memory(e);
        blob_drop(body);
        return NULL;
    }
    *j = (struct job){ .q = c->q, .e = c->e, .k = c->k, .body = body, .crc = c->c, .failed = (uint64_t)failed };
    buf_init(&j->made, UNIT_MAX);
    return j;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    blob_drop(j->body);
    buf_release(&j->made);
    free(j->sample);
    free(j);
}

struct blob *job_input(const struct job *j, struct control *c, uint64_t *failed)
{
    struct blob *body;
    c->e = j->e;
    if (!j->sample) {
        body = blob_share(j->body);
        c->k = j->k;
        c->c = j->crc;
        *failed = j->failed;
    } else {
        struct mp_cursor at = mp_cursor(j->sample[j->at]);
        *failed = body_sample_failed(&at) == 1;
        body = body_make(1, j->sample[j->at]);
        c->k = 1;
        c->c = body ? crc32c(0, body->data, body->size) : 0;
    }
    c->n = body ? body->size : 0;
    return body;
}

static int next_sample(struct job *j, struct blob **out, uint32_t *crc, struct error *e)
{
    j->at++;
    j->deaths = 0;
    if (j->at < j->k)
        return 0;
    *out = j->made.failed ? NULL : body_make(j->k, span_of(j->made.data, j->made.size));
    *crc = *out ? crc32c(0, (*out)->data, (*out)->size) : 0;
    return *out ? 1 : error_set(e, STATUS_AGAIN,
                                "unit %llu: its samples' results are too large together, or out of memory",
                                (unsigned long long)j->q);
}

int job_answer(struct job *j, const struct control *answer, struct blob *body, struct blob **out, uint32_t *crc,
               struct error *e)
{
    uint64_t k = answer->k;
    if (!j->sample) {
        if (k == j->k) {
            *out = body;
            *crc = answer->c;
            return 1;
        }
        blob_drop(body);
        return error_set(e, STATUS_BAD, "%llu samples came back for a unit of %llu: a filter must give one for each",
                         (unsigned long long)k, (unsigned long long)j->k);
    }
    struct mp_cursor c = mp_cursor(blob_span(body));
    if (k != 1 || body_enter(&c, 1) < 0) {
        blob_drop(body);
        return error_set(e, STATUS_BAD, "a unit of one sample came back as something else: a filter must give one for each");
    }
    buf_append(&j->made, c.p, (size_t)(c.end - c.p));
    blob_drop(body);
    return next_sample(j, out, crc, e);
}

static int split(struct job *j, struct error *e)
{
    struct mp_cursor c = mp_cursor(blob_span(j->body));
    j->sample = calloc(j->k, sizeof *j->sample);
    if (!j->sample)
        return error_memory(e);
    if (body_enter(&c, j->k) < 0)
        return error_set(e, STATUS_BAD, "unit %llu: its body is not {\"samples\": [...]}", (unsigned long long)j->q);
    for (uint64_t i = 0; i < j->k; i++)
        if (mp_skip(&c, &j->sample[i]) < 0)
            return error_set(e, STATUS_BAD, "unit %llu: its body is not {\"samples\": [...]}", (unsigned long long)j->q);
    return 0;
}

/* The sample at hand becomes an error record. */
static int give_up(struct job *j, const char *stage, const char *how, struct error *e)
{
    struct arena arena = { 0 };
    static _Thread_local struct sample s;
    char text[300];
    const char *why;
    if (sample_read(j->sample[j->at], &arena, &s, &why) < 0)
        return error_set(e, STATUS_BAD, "unit %llu: a sample %s", (unsigned long long)j->q, why);
    snprintf(text, sizeof text, "%s at this sample alone, %d times", how, JOB_DEATHS);
    sample_fail(&s, stage, text);
    sample_write(&j->made, &s);
    arena_release(&arena);
    return 0;
}

int job_died(struct job *j, const char *stage, const char *how, struct blob **out, uint32_t *crc, struct error *e)
{
    bool had_company = !j->alone;
    j->alone = true;
    if (!j->sample && (j->k == 0 || (had_company && j->k > 1)))
        return 0;                       /* once more whole, with nothing else: it may have been chance */
    if (!j->sample) {
        if (split(j, e) < 0)
            return -1;
        j->deaths = j->k == 1 ? 1 : 0;
        return 0;
    }
    if (++j->deaths < JOB_DEATHS)
        return 0;
    return give_up(j, stage, how, e) < 0 ? -1 : next_sample(j, out, crc, e);
}
