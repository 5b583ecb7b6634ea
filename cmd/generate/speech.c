/* cmd/generate/speech.c - features as rows of a batch, window by window (prompts: prompts.c) */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "cmd/shared/text/columns.h"
#include "cmd/shared/text/tokens.h"
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

/* The row's window, cut out and put into the batch.  What lacks of it will be 0, as transformers has it. */
static int window_add(struct job *j, const struct row *r, struct error *e)
{
    char why[WHY];
    size_t bins = j->loaded.model->bins, heard = window_frames(j, r);
    for (size_t f = 0; f < bins; f++)
        memcpy(j->features + f * heard, r->sound.features + f * r->sound.frames + r->sound.at, heard * sizeof(float));
    if (batch_add(&j->batch, &j->prompt.begin, NULL, 1, j->features, bins, heard, 0, 0, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    return 0;
}

static bool long_possible(const struct job *j, struct error *e)
{
    if (j->generation.rules.timestamp > 0)
        return true;
    error_set(e, STATUS_BAD, "sound longer than the model hears, which has no times to go on by: mel-features "
                             "--over-long cut");
    return false;
}

/* Features as r->sound, at least one window of it. */
static int features_read(struct job *j, const struct sample *s, struct row *r, struct error *e)
{
    const struct model *m = j->loaded.model;
    struct array a;
    double pad = 0;
    char why[WHY];
    int got = sample_array(s, "input_features", &a, e);
    if (got < 0)
        return -1;
    if (!got)
        return error_set(e, STATUS_BAD, "no 'input_features': mel-features makes them");
    if (a.rank != 2 || a.shape[0] != m->bins)
        return error_set(e, STATUS_BAD, "'input_features' of %llu mel bands; this model takes [%zu, frames]",
                         (unsigned long long)(a.rank ? a.shape[0] : 0), m->bins);
    size_t heard = (size_t)a.shape[1];
    if (heard > m->frames && !long_possible(j, e))
        return -1;
    if (sample_real(s, "padding_value", &pad, e) < 0)
        return -1;
    r->timestamps = j->timestamps || heard > m->frames;
    r->sound = (struct sound){ .frames = heard > m->frames ? heard : m->frames };
    r->sound.features = malloc(m->bins * r->sound.frames * sizeof(float));
    if (!r->sound.features)
        return error_set(e, STATUS_AGAIN, "out of memory: sound of %zu frames", heard);
    features_copy(r->sound.features, &a, r->sound.frames, (float)pad);
    int bad = features_finite(r->sound.features, m->bins, r->sound.frames, (float)pad, why);
    return bad ? error_set(e, STATUS_BAD, "%s", why) : 0;
}

/* First what the row says, then the options, then the configuration. */
static int wishes_read(struct job *j, const struct sample *s, struct row *r, struct error *e)
{
    struct str word;
    int got = column_str(s, "language", &word, e);
    r->language = j->default_language;
    if (got < 0 || (got && (r->language = language_read(&j->prompt, word, e)) < 0) ||
        (got = column_str(s, "task", &word, e)) < 0)
        return -1;
    r->task = !got ? j->default_task : str_is(word, "transcribe") ? TASK_TRANSCRIBE :
              str_is(word, "translate") ? TASK_TRANSLATE : TASK_UNSAID;
    if (got && r->task == TASK_UNSAID)
        return error_set(e, STATUS_BAD, "task '%.*s' is neither transcribe nor translate",
                         (int)(word.n < 60 ? word.n : 60), word.s);
    if (r->task == TASK_TRANSLATE && j->prompt.english)
        return error_set(e, STATUS_BAD, "task translate: this model knows English only");
    return 0;
}

/* Prompts are set when the batch is complete; until then a row holds its sound alone. */
int speech_row_add(struct job *j, const struct sample *s, struct row *r, struct error *e)
{
    return wishes_read(j, s, r, e) < 0 || features_read(j, s, r, e) < 0 ? -1 : window_add(j, r, e);
}

/* --- window after window ------------------------------------------------------------------ */
/* What a window said becomes the row's.  A model may say times unasked; then too the next window begins at them. */
static int window_take(struct job *j, struct row *r, const struct generate_row *a, struct error *e)
{
    size_t used, advance, before = r->said.n;
    int32_t time = j->generation.rules.timestamp;
    struct window w = { a->token, a->n, time > 0 ? time : INT32_MAX, 0.01 * (double)r->sound.at, window_frames(j, r) };
    struct utterance *u = realloc(r->utterance, (r->utterances + a->n + 1) * sizeof *u);
    if (!u)
        return error_memory(e);
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
    size_t going = 0;
    batch_clear(&j->batch);
    for (size_t i = 0; i < j->good; i++) {
        struct row *r = j->going[i];
        if (window_take(j, r, j->answer + i, e) < 0)
            return -1;
        if (r->sound.at >= r->sound.frames)
            continue;
        if (window_add(j, r, e) < 0)
            return -1;
        j->answer[going].key = random_key(r->key, r->sound.at);
        j->going[going++] = r;
    }
    j->good = going;
    return 0;
}
