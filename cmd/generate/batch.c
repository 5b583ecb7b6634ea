/* cmd/generate/batch.c - samples gathered into batches, answered, written in the order they came */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "kernels/nn/random.h"

static char *copy(struct span text)
{
    char *s = malloc(text.size + 1);
    if (s) {
        memcpy(s, text.data, text.size);
        s[text.size] = 0;
    }
    return s;
}

/* The text of an error that travels: its stage and message. */
static void error_read(const struct sample *s, struct row *r)
{
    const struct span *object = sample_get(s, "error");
    struct mp_cursor c = { object->data, object->data + object->size };
    struct mp_value v, key;
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP)
        return;
    for (uint32_t n = v.n; n && mp_read(&c, &key) == 0; n--) {
        struct mp_cursor value = c;
        if (mp_skip(&c, NULL) < 0)
            return;
        if (mp_read(&value, &v) < 0 || v.type != MP_STR)
            continue;
        if (mp_str_is(&key, "message") && !r->error)
            r->error = copy(v.bytes);
        if (mp_str_is(&key, "stage") && !r->stage)
            r->stage = copy(v.bytes);
    }
}

int job_sample(struct job *j, const struct sample *s, struct error *e)
{
    struct row *r = j->row + j->rows++;
    struct span text;
    struct span id = sample_id(s);
    *r = (struct row){ .language = -1 };
    j->samples++;
    r->referenced = j->speech && sample_str(s, "text", &text, e) > 0;
    if (text_add(&r->id, (const char *)id.data, id.size) ||
        (r->referenced && text_add(&r->reference, (const char *)text.data, text.size)))
        return error_set(e, STATUS_AGAIN, "out of memory");
    if (sample_failed(s)) {
        error_read(s, r);
        if (!r->error)
            r->error = strdup("unknown");
    } else if ((j->speech ? speech_row_add(j, s, r, e) : text_row_add(j, s, r, e)) < 0) {
        if (e->status == STATUS_AGAIN)
            return -1;
        r->error = strdup(e->text);
        r->stage = strdup("generate");
    } else {
        r->key = j->answer[j->good].key = random_text(0, r->id.s, r->id.n);
        j->going[j->good++] = r;
    }
    j->failed += r->error != NULL;
    return j->good == (size_t)j->batch_size || j->rows == j->room ? job_flush(j, e) : 0;
}

int row_extend(struct row *r, const struct generate_row *answer, size_t n, struct error *e)
{
    if (tokens_reserve(&r->said, n + 1))
        return error_set(e, STATUS_AGAIN, "out of memory");
    for (size_t i = 0; i < n; i++)
        tokens_add(&r->said, answer->token[i]);
    r->ended = answer->ended;
    r->end = answer->end;
    return 0;
}

void row_clear(struct row *r)
{
    text_release(&r->id);
    text_release(&r->reference);
    free(r->error);
    free(r->stage);
    free(r->sound.features);
    free(r->utterance);
    tokens_release(&r->said);
    *r = (struct row){ 0 };
}

/* --- a batch is answered ------------------------------------------------------------- */
int job_flush(struct job *j, struct error *e)
{
    int rc = batch_answer(j, e);
    for (size_t i = 0; i < j->rows; i++) {
        if (rc == 0)
            rc = row_write(j, j->row + i, e);
        row_clear(j->row + i);
    }
    j->rows = j->good = 0;
    batch_clear(&j->batch);
    return rc == 0 ? text_out_flush(&j->out, e) : rc;
}
