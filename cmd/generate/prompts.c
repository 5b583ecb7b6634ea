/* cmd/generate/prompts.c - Whisper's prompts as transformers makes them: what was said before, language, task, times
 *
 * Where neither a row nor options nor the configuration name language or task, the
 * prompt is forced_decoder_ids, with the language that is detected; without these
 * it names the language and no task. */
#include <math.h>
#include <string.h>

#include "cmd/generate/job.h"

static bool named(const struct job *j, const struct row *r)
{
    return !j->prompt.english && ((r->language >= 0 && !r->detected) || r->task != TASK_UNSAID);
}

/* A language that forced ids name, or -1. */
static int forced_language(const struct job *j)
{
    for (int i = 0; i < LANGUAGES && j->generation.n_forced; i++)
        if (j->generation.forced[0] >= 0 && j->prompt.language[i] == j->generation.forced[0])
            return i;
    return -1;
}

/* Rows without a language get the likeliest. */
static int languages_detect(struct job *j, struct error *e)
{
    int32_t ids[LANGUAGES], best[4096];
    size_t n = 0;
    char why[WHY];
    bool any = false;
    int forced = forced_language(j);
    for (size_t i = 0; i < j->good; i++) {
        struct row *r = j->going[i];
        if (r->language < 0 && forced >= 0 && !named(j, r)) {
            r->language = forced;
            r->detected = true;
        }
        any |= r->language < 0;
    }
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

/* What the row's windows said, as far back as half the positions go; of a segment's closing pair of times one is left. */
static int previous_put(const struct job *j, const struct row *r, struct tokens *list)
{
    size_t most = j->loaded.model->max_tokens / 2 - 1, from = list->n;
    int32_t time = j->generation.rules.timestamp;
    if (tokens_reserve(list, r->said.n + 1))
        return -1;
    for (size_t i = 0; i < r->utterances; i++) {
        const struct utterance *u = r->utterance + i;
        const int32_t *said = r->said.id + u->from;
        size_t n = time > 0 && u->n > 2 && said[u->n - 2] >= time ? u->n - 1 : u->n;
        memcpy(list->id + list->n, said, n * sizeof *said);
        list->n += n;
    }
    size_t n = list->n - from, kept = n < most ? n : most;
    memmove(list->id + from + 1, list->id + list->n - kept, kept * sizeof *list->id);
    list->id[from] = j->previous;
    list->n = from + 1 + kept;
    return 0;
}

/* One prompt; *start: where its <|startoftranscript|> is. */
static int prompt_put(const struct job *j, const struct row *r, struct tokens *list, size_t *start)
{
    const struct prompt *p = &j->prompt;
    const struct generation *g = &j->generation;
    int32_t language = r->language >= 0 && !p->english ? p->language[r->language] : -1;
    if (r->condition && r->utterances && previous_put(j, r, list))
        return -1;
    *start = list->n;
    if (tokens_reserve(list, FORCED_IDS + 5))
        return -1;
    list->id[list->n++] = p->begin;
    if (named(j, r) || !g->n_forced) {
        if (language >= 0)
            list->id[list->n++] = language;
        if (named(j, r))
            list->id[list->n++] = r->task == TASK_TRANSLATE ? p->translate : p->transcribe;
    } else {
        for (size_t i = 0; i < g->n_forced; i++)
            if (g->forced[i] >= 0 || (i == 0 && language >= 0))
                list->id[list->n++] = g->forced[i] >= 0 ? g->forced[i] : language;
    }
    if (r->timestamps && list->id[list->n - 1] == p->no_timestamps)
        list->n--;
    else if (!r->timestamps && list->id[list->n - 1] != p->no_timestamps)
        list->id[list->n++] = p->no_timestamps;
    return 0;
}

/* Room for the answer: max_length, which transformers raises by each prompt, counts both. */
static void room_set(struct job *j, struct row *r, size_t prompt, struct generate_row *answer)
{
    size_t all = j->loaded.model->max_tokens, half = all / 2 - 1;
    if (!r->limit)
        r->limit = j->generation.max_length ? (size_t)j->generation.max_length : all;
    r->limit += prompt < half ? prompt : half;
    if (r->limit > all)
        r->limit = all;
    answer->room = r->limit > prompt ? r->limit - prompt : 0;
    answer->timestamps = r->timestamps;
}

/* The batch's tokens become prompts; its sound stays.  whole: else up to <|startoftranscript|>. */
static int prompts_put(struct job *j, bool whole, struct error *e)
{
    struct batch *b = &j->batch;
    struct tokens list = { 0 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < j->good; i++) {
        size_t start;
        rc = prompt_put(j, j->going[i], &list, &start);
        if (rc == 0 && !whole)
            list.n = start + 1;
        b->start[i + 1] = list.n;
    }
    if (rc < 0 || list.n > b->room_tokens)
        rc = error_memory(e);
    if (rc == 0)
        memcpy(b->ids, list.id, list.n * sizeof *b->ids);
    tokens_release(&list);
    return rc;
}

/* How likely each row is no speech, behind its <|startoftranscript|>. */
static int silence_detect(struct job *j, struct error *e)
{
    int32_t id = j->prompt.no_speech >= 0 ? j->prompt.no_speech : j->prompt.no_timestamps - 1;
    char why[WHY];
    if (isnan(j->no_speech_threshold))
        return 0;
    if (prompts_put(j, false, e) < 0)
        return -1;
    return generator_expect(&j->generator, &j->batch, id, j->silent, why) < 0 ? error_set(e, STATUS_AGAIN, "%s", why) : 0;
}

int speech_prompts(struct job *j, struct error *e)
{
    if (languages_detect(j, e) < 0 || silence_detect(j, e) < 0 || prompts_put(j, true, e) < 0)
        return -1;
    for (size_t i = 0; i < j->good; i++)
        room_set(j, j->going[i], j->batch.start[i + 1] - j->batch.start[i], j->answer + i);
    return 0;
}
