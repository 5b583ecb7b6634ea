/* cmd/generate/speech.c - features as rows of a batch; prompts of Whisper's control tokens */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"

static int features_read(struct job *j, const struct sample *s, size_t *heard, float *padding, struct error *e)
{
    const struct model *m = j->loaded.model;
    struct array a;
    double pad = 0;
    int got = sample_array(s, "input_features", &a, e);
    if (got < 0)
        return -1;
    if (!got)
        return error_set(e, STATUS_BAD, "no 'input_features': mel-features makes them");
    if (a.rank != 2 || a.shape[0] != m->bins)
        return error_set(e, STATUS_BAD, "'input_features' of %llu mel bands; this model takes [%zu, frames]",
                         (unsigned long long)(a.rank ? a.shape[0] : 0), m->bins);
    if (a.shape[1] > m->frames)
        return error_set(e, STATUS_BAD, "sound of %llu frames; this model hears %zu", (unsigned long long)a.shape[1], m->frames);
    if (sample_real(s, "padding_value", &pad, e) < 0)
        return -1;
    *heard = a.shape[1];
    *padding = (float)pad;
    uint64_t n = array_count(&a);
    if (a.type == ARRAY_F32)
        memcpy(j->features, a.data.data, n * sizeof(float));
    for (uint64_t i = 0; a.type != ARRAY_F32 && i < n; i++)
        j->features[i] = (float)array_at(&a, i);
    return 0;
}

static int row_language(struct job *j, const struct sample *s, int *language, struct error *e)
{
    struct span word;
    *language = j->default_language;
    if (j->prompt.english || *language >= 0)
        return 0;
    int got = sample_str(s, "language", &word, e);
    if (got <= 0 || !word.size)
        return got;
    *language = language_read(j, str_of((const char *)word.data, word.size), e);
    return *language < 0 ? -1 : 0;
}

/* Prompts are set when the batch is complete; until then a row holds its sound alone. */
int speech_row_add(struct job *j, const struct sample *s, struct row *r, struct error *e)
{
    const struct model *m = j->loaded.model;
    size_t heard = 0;
    float padding = 0;
    char why[WHY];
    if (row_language(j, s, &r->language, e) < 0 || features_read(j, s, &heard, &padding, e) < 0)
        return -1;
    if (batch_add(&j->batch, &j->prompt.begin, NULL, 1, j->features, m->bins, heard, padding, 0, why) < 0)
        return error_set(e, STATUS_BAD, "%s", why);
    return 0;
}

/* Rows without a language get the likeliest. */
static int languages_detect(struct job *j, struct error *e)
{
    int32_t ids[LANGUAGES], best[4096];
    size_t n = 0, at = 0;
    char why[WHY];
    bool any = false;
    for (size_t i = 0; i < j->rows; i++)
        any |= !j->row[i].error && j->row[i].language < 0;
    for (int i = 0; i < LANGUAGES; i++)
        if (j->prompt.language[i] >= 0)
            ids[n++] = j->prompt.language[i];
    if (!any || j->prompt.english || !n)
        return 0;
    if (generator_detect(&j->generator, &j->batch, ids, n, best, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    for (size_t i = 0; i < j->rows; i++) {
        struct row *r = j->row + i;
        if (r->error)
            continue;
        for (int k = 0; k < LANGUAGES && r->language < 0; k++)
            if (j->prompt.language[k] == best[at]) {
                r->language = k;
                r->detected = true;
            }
        at++;
    }
    return 0;
}

/* The batch's tokens become whole prompts; its sound stays. */
static int prompts_put(struct job *j, struct error *e)
{
    struct batch *b = &j->batch;
    struct tokens list = { 0 };
    size_t at = 0;
    int rc = 0;
    int32_t task = j->task && !strcmp(j->task, "translate") ? j->prompt.translate : j->prompt.transcribe;
    for (size_t i = 0; rc == 0 && i < j->rows; i++) {
        int language = j->row[i].language;
        if (j->row[i].error)
            continue;
        struct prompt_ask ask = { .language = language >= 0 ? j->prompt.language[language] : -1,
                                  .task = j->prompt.english ? -1 : task, .timestamps = j->timestamps };
        rc = prompt_prefix(&j->prompt, &ask, &list);
        b->start[++at] = list.n;
        j->answer[at - 1].timestamps = j->timestamps;
    }
    if (rc < 0 || list.n > b->room_tokens)
        rc = error_set(e, STATUS_AGAIN, "out of memory");
    if (rc == 0)
        memcpy(b->ids, list.id, list.n * sizeof *b->ids);
    tokens_release(&list);
    return rc;
}


int speech_prompts(struct job *j, struct error *e)
{
    return languages_detect(j, e) < 0 || prompts_put(j, e) < 0 ? -1 : 0;
}
