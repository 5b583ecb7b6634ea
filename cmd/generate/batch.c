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

int job_sample(struct job *j, const struct sample *s, struct error *e)
{
    struct row *r = j->row + j->rows++;
    struct sample_error what;
    struct span text, id = sample_id(s);
    *r = (struct row){ .language = -1 };
    j->samples++;
    r->referenced = j->speech && sample_str(s, "text", &text, e) > 0;
    if (text_add(&r->id, (const char *)id.data, id.size) ||
        (r->referenced && text_add(&r->reference, (const char *)text.data, text.size)))
        return error_memory(e);
    if (sample_error(s, &what)) {
        r->error = what.message.data ? copy(what.message) : strdup("unknown");
        r->stage = what.stage.data ? copy(what.stage) : NULL;
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
