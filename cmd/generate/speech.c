/* cmd/generate/speech.c - features as rows of a batch, window by window; prompts of Whisper's control tokens */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "kernels/nn/random.h"

/* Each row to `frames`, with padding after what was heard. */
static void features_copy(float *to, const struct array *a, size_t frames, float padding)
{
    size_t heard = (size_t)a->shape[1];
    for (size_t f = 0; f < a->shape[0]; f++, to += frames) {
        if (a->type == ARRAY_F32 && heard)
            memcpy(to, (const uint8_t *)a->data.data + f * heard * sizeof *to, heard * sizeof *to);
        for (size_t i = 0; a->type != ARRAY_F32 && i < heard; i++)
            to[i] = (float)array_at(a, f * heard + i);
        for (size_t i = heard; i < frames; i++)
            to[i] = padding;
    }
}

/* Frames of the row's window. */
static size_t window_frames(const struct job *j, const struct row *r)
{
    size_t left = r->sound.frames - r->sound.at;
    return left < j->loaded.model->frames ? left : j->loaded.model->frames;
}

/* The window as rows of j->features; *heard: of them.  What lacks of it will be 0, as transformers has it. */
static void window_cut(struct job *j, const struct row *r, size_t *heard)
{
    *heard = window_frames(j, r);
    for (size_t f = 0; f < j->loaded.model->bins; f++)
        memcpy(j->features + f * *heard, r->sound.features + f * r->sound.frames + r->sound.at, *heard * sizeof(float));
}

static bool long_possible(const struct job *j, struct error *e)
{
    if (j->rules.timestamp > 0)
        return true;
    error_set(e, STATUS_BAD, "sound longer than the model hears, which has no times to go on by: mel-features --over-long cut");
    return false;
}

/* Features as rows of j->features, or, of what is heard in windows, of r->sound, padded to one window. */
static int features_read(struct job *j, const struct sample *s, struct row *r, size_t *heard, float *padding, struct error *e)
{
    const struct model *m = j->loaded.model;
    struct array a;
    char why[WHY];
    double pad = 0;
    int got = sample_array(s, "input_features", &a, e);
    if (got < 0)
        return -1;
    if (!got)
        return error_set(e, STATUS_BAD, "no 'input_features': mel-features makes them");
    if (a.rank != 2 || a.shape[0] != m->bins)
        return error_set(e, STATUS_BAD, "'input_features' of %llu mel bands; this model takes [%zu, frames]",
                         (unsigned long long)(a.rank ? a.shape[0] : 0), m->bins);
    if (a.shape[1] > m->frames && !long_possible(j, e))
        return -1;
    if (sample_real(s, "padding_value", &pad, e) < 0)
        return -1;
    *heard = a.shape[1];
    *padding = (float)pad;
    r->timestamps = j->timestamps || *heard > m->frames;
    if (!r->timestamps) {
        features_copy(j->features, &a, *heard, *padding);
        return features_finite(j->features, m->bins, *heard, *padding, why) < 0 ? error_set(e, STATUS_BAD, "%s", why) : 0;
    }
    r->sound = (struct sound){ .frames = *heard > m->frames ? *heard : m->frames };
    r->sound.features = malloc(m->bins * r->sound.frames * sizeof(float));
    if (!r->sound.features)
        return error_set(e, STATUS_AGAIN, "out of memory: sound of %zu frames", *heard);
    features_copy(r->sound.features, &a, r->sound.frames, *padding);
    if (features_finite(r->sound.features, m->bins, r->sound.frames, *padding, why) < 0)
        return error_set(e, STATUS_BAD, "%s", why);
    window_cut(j, r, heard);
    *padding = 0;
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
    if (row_language(j, s, &r->language, e) < 0 || features_read(j, s, r, &heard, &padding, e) < 0)
        return -1;
    if (batch_add(&j->batch, &j->prompt.begin, NULL, 1, j->features, m->bins, heard, padding, 0, why) < 0)
        return error_set(e, STATUS_BAD, "%s", why);
    return 0;
}

/* Rows without a language get the likeliest. */
static int languages_detect(struct job *j, struct error *e)
{
    int32_t ids[LANGUAGES], best[4096];
    size_t n = 0;
    char why[WHY];
    bool any = false;
    for (size_t i = 0; i < j->good; i++)
        any |= j->going[i]->language < 0;
    for (int i = 0; i < LANGUAGES; i++)
        if (j->prompt.language[i] >= 0)
            ids[n++] = j->prompt.language[i];
    if (!any || j->prompt.english || !n)
        return 0;
    if (generator_detect(&j->generator, &j->batch, ids, n, best, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    for (size_t i = 0; i < j->good; i++) {
        struct row *r = j->going[i];
        for (int k = 0; k < LANGUAGES && r->language < 0; k++)
            if (j->prompt.language[k] == best[i]) {
                r->language = k;
                r->detected = true;
            }
    }
    return 0;
}

/* The batch's tokens become whole prompts; its sound stays. */
static int prompts_put(struct job *j, struct error *e)
{
    struct batch *b = &j->batch;
    struct tokens list = { 0 };
    int rc = 0;
    int32_t task = j->task && !strcmp(j->task, "translate") ? j->prompt.translate : j->prompt.transcribe;
    for (size_t i = 0; rc == 0 && i < j->good; i++) {
        int language = j->going[i]->language;
        struct prompt_ask ask = { .language = language >= 0 ? j->prompt.language[language] : -1,
                                  .task = j->prompt.english ? -1 : task, .timestamps = j->going[i]->timestamps };
        rc = prompt_prefix(&j->prompt, &ask, &list);
        b->start[i + 1] = list.n;
        j->answer[i].timestamps = j->going[i]->timestamps;
    }
    if (rc < 0 || list.n > b->room_tokens)
        rc = error_set(e, STATUS_AGAIN, "out of memory");
    if (rc == 0)
        memcpy(b->ids, list.id, list.n * sizeof *b->ids);
    tokens_release(&list);
    return rc;
}

/* How likely each row is no speech, before its prompt. */
static int silence_detect(struct job *j, struct error *e)
{
    int32_t id = j->prompt.no_speech >= 0 ? j->prompt.no_speech : j->prompt.no_timestamps - 1;
    char why[WHY];
    if (!(j->asked.no_speech_threshold > 0))
        return 0;
    return generator_expect(&j->generator, &j->batch, id, j->silent, why) < 0 ? error_set(e, STATUS_AGAIN, "%s", why) : 0;
}

int speech_prompts(struct job *j, struct error *e)
{
    return languages_detect(j, e) < 0 || silence_detect(j, e) < 0 || prompts_put(j, e) < 0 ? -1 : 0;
}

/* --- window after window ------------------------------------------------------------------ */
/* What a window said becomes the row's. */
static int window_take(struct job *j, struct row *r, const struct generate_row *a, struct error *e)
{
    size_t used, advance, before = r->said.n;
    struct window w = { a->token, a->n, j->rules.timestamp, 0.01 * (double)r->sound.at, window_frames(j, r) };
    struct utterance *u = realloc(r->utterance, (r->utterances + a->n + 1) * sizeof *u);
    if (!u)
        return error_set(e, STATUS_AGAIN, "out of memory");
    r->utterance = u;
    size_t n = window_read(&w, u + r->utterances, &used, &advance);
    for (size_t i = r->utterances; i < r->utterances + n; i++)
        u[i].from += before;
    r->utterances += n;
    r->sound.at += advance;
    return row_extend(r, a, used, e);
}

int speech_advance(struct job *j, struct error *e)
{
    size_t going = 0, heard;
    char why[WHY];
    batch_clear(&j->batch);
    for (size_t i = 0; i < j->good; i++) {
        struct row *r = j->going[i];
        const struct generate_row *a = j->answer + i;
        if ((r->sound.features ? window_take(j, r, a, e) : row_extend(r, a, a->n, e)) < 0)
            return -1;
        if (!r->sound.features || r->sound.at >= r->sound.frames)
            continue;
        window_cut(j, r, &heard);
        if (batch_add(&j->batch, &j->prompt.begin, NULL, 1, j->features, j->loaded.model->bins, heard, 0, 0, why) < 0)
            return error_set(e, STATUS_AGAIN, "%s", why);
        j->answer[going].key = random_key(r->key, r->sound.at);
        j->going[going++] = r;
    }
    j->good = going;
    return 0;
}
