/* cmd/tokenize/job.c - one sample: its row, the arrays that travel on */
#include "cmd/tokenize/job.h"

#include <stdlib.h>
#include <string.h>

/* --- columns ------------------------------------------------------------------- */
/* Takes a column out of the "row" of the sample. */
static int column_drop(struct sample *s, const char *key, struct error *e)
{
    const struct span *row = sample_get(s, "row");
    struct mp_cursor c;
    struct mp_value v, k;
    struct buf rest, map;
    uint32_t left = 0;
    int rc = 0;

    if (!row || (c = mp_cursor(*row), mp_read(&c, &v)) < 0 || v.type != MP_MAP)
        return 0;
    buf_init(&rest, UNIT_MAX);
    buf_init(&map, UNIT_MAX);
    for (uint32_t i = 0; i < v.n; i++) {
        struct mp_cursor from = c;
        if (mp_read(&c, &k) < 0 || mp_skip(&c, NULL) < 0)
            break;
        if (!mp_str_is(&k, key)) {
            buf_append(&rest, from.p, (size_t)(c.p - from.p));
            left++;
        }
    }
    if (left == 0) {
        sample_drop(s, "row");
    } else if (left < v.n) {
        mp_put_map(&map, left);
        buf_append(&map, rest.data, rest.size);
        rc = rest.failed || map.failed ? error_memory(e)
                                       : sample_put_raw(s, "row", span_of(map.data, map.size), e);
    }
    buf_release(&rest);
    buf_release(&map);
    return rc;
}

/* --- the arrays ------------------------------------------------------------------ */
static int put_ids(struct sample *s, const char *key, const int32_t *id, size_t n, struct error *e)
{
    struct array a = { ARRAY_I32, 1, { n }, span_of(id, n * sizeof *id) };

    return sample_put_array(s, key, &a, e);
}

/* Whisper's labels are the row without its first token, its inputs the row
 * without its last; the others' are aligned, and the model shifts them. */
static int put_row(struct job *j, struct sample *s, struct error *e)
{
    size_t shift = j->whisper, n = j->ids.n - shift;
    int32_t *labels = malloc((n + 1) * sizeof *labels);
    int rc;

    if (!labels)
        return error_memory(e);
    for (size_t i = 0; i < n; i++)
        labels[i] = j->learnt[i + shift] ? j->ids.id[i + shift] : -100;
    rc = put_ids(s, "input_ids", j->ids.id, n, e) < 0 || put_ids(s, "labels", labels, n, e) < 0 ? -1 : 0;
    free(labels);
    return rc;
}

/* Every id must have a row in the model's embedding. */
static int check_ids(const struct job *j, struct error *e)
{
    for (size_t i = 0; i < j->ids.n && j->vocab_size; i++)
        if (j->ids.id[i] >= j->vocab_size) {
            struct str name = tokenizer_name(j->t, j->ids.id[i]);
            return error_set(e, STATUS_BAD, "token '%.*s' is %d, past the model's vocabulary of %lld",
                             (int)(name.n < 60 ? name.n : 60), name.s, (int)j->ids.id[i], (long long)j->vocab_size);
        }
    return 0;
}

/* A token after the first: what stands first is never predicted. */
static bool any_learnt(const struct job *j)
{
    for (size_t i = 1; i < j->ids.n; i++)
        if (j->learnt[i])
            return true;
    return false;
}

/* What has become tokens goes; text stays: it is the reference when answers are judged. */
static int drop_used(const struct job *j, struct sample *s, struct error *e)
{
    static const char *const speech[] = { "segments", "previous_text", NULL };
    static const char *const talk[] = { "messages", "prompt", "instruction", "response", "completion", NULL };

    for (const char *const *key = j->whisper ? speech : talk; *key; key++) {
        sample_drop(s, *key);
        if (column_drop(s, *key, e) < 0)
            return -1;
    }
    return 0;
}

int job_sample(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    struct job *j = ctx;
    int rc;

    j->ids.n = 0;
    rc = j->whisper ? whisper_row(j, s, epoch, e) : chat_row(j, s, e);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        j->dropped++;
        sample_pass_over(s, "tokenize", e->text);
        return 0;
    }
    if (!any_learnt(j))
        return error_set(e, STATUS_BAD, "nothing of it is learnt: there is no answer in it");
    if (check_ids(j, e) < 0 || put_row(j, s, e) < 0)
        return -1;
    return j->keep ? 0 : drop_used(j, s, e);
}
