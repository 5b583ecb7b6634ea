/* libcommon/stream/crew/job.c - see job.h */
#include "libcommon/stream/crew/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After {"samples": [ of k samples; -1 if that is not how it begins. */
static int body_head(struct mp_cursor *c, uint64_t k)
{
    struct mp_value v;
    if (mp_read(c, &v) < 0 || v.type != MP_MAP || v.n != 1 || mp_read(c, &v) < 0 || !mp_str_is(&v, "samples") ||
        mp_read(c, &v) < 0 || v.type != MP_ARRAY || v.n != k)
        return -1;
    return 0;
}

static int sample_has_error(struct mp_cursor *c)
{
    struct mp_value v, key;
    int error = 0;
    if (mp_read(c, &v) < 0 || v.type != MP_MAP)
        return -1;
    for (uint32_t i = 0; i < v.n; i++) {
        if (mp_read(c, &key) < 0 || key.type != MP_STR || mp_skip(c, NULL) < 0)
            return -1;
        error |= mp_str_is(&key, "error");
    }
    return error;
}

int64_t body_failed(struct span body, uint64_t k)
{
    struct mp_cursor c = mp_cursor(body);
    int64_t failed = 0;
    if (body_head(&c, k) < 0)
        return -1;
    for (uint64_t i = 0; i < k; i++) {
        int one = sample_has_error(&c);
        if (one < 0)
            return -1;
        failed += one;
    }
    return c.p == c.end ? failed : -1;
}

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

static struct blob *body_of(uint64_t k, struct span samples)
{
    struct buf b;
    buf_init(&b, UNIT_MAX + 64);
    mp_put_map(&b, 1);
    mp_put_str(&b, "samples");
    mp_put_array(&b, (uint32_t)k);
    buf_append(&b, samples.data, samples.size);
    struct blob *body = b.failed ? NULL : blob_copy(span_of(b.data, b.size));
    buf_release(&b);
    return body;
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
        *failed = sample_has_error(&at) == 1;
        body = body_of(1, j->sample[j->at]);
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
    *out = j->made.failed ? NULL : body_of(j->k, span_of(j->made.data, j->made.size));
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
    if (k != 1 || body_head(&c, 1) < 0) {
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
    if (body_head(&c, j->k) < 0)
        return error_set(e, STATUS_BAD, "unit %llu is none", (unsigned long long)j->q);
    for (uint64_t i = 0; i < j->k; i++)
        if (mp_skip(&c, &j->sample[i]) < 0)
            return error_set(e, STATUS_BAD, "unit %llu is none", (unsigned long long)j->q);
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
