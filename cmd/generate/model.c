/* cmd/generate/model.c - what a model's directory gives: weights, tokens, rules of decoding */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "cmd/shared/text/tokens.h"

/* --NAME, --no-NAME, or as configured. */
static int flag_settle(const char *name, bool *flag, bool no, bool configured, struct error *e)
{
    if (*flag && no)
        return error_set(e, STATUS_BAD, "--%s and --no-%s: which?", name, name);
    *flag |= configured && !no;
    return 0;
}

/* Of speech: what is asked of rows that do not say. */
static int asked_check(struct job *j, struct error *e)
{
    const struct generation *g = &j->generation;
    if (flag_settle("return-timestamps", &j->timestamps, j->no_timestamps, g->timestamps, e) < 0 ||
        flag_settle("condition-on-prev-tokens", &j->condition, j->no_condition, g->condition, e) < 0)
        return -1;
    if (j->timestamps && g->rules.timestamp < 0)
        return error_set(e, STATUS_BAD, "--return-timestamps: this model has no tokens for times");
    if (j->condition && j->previous < 0)
        return error_set(e, STATUS_BAD, "--condition-on-prev-tokens: the tokenizer has no <|startofprev|>");
    if (j->prompt.english && j->task && !strcmp(j->task, "translate"))
        return error_set(e, STATUS_BAD, "--task translate: this model knows English only");
    j->default_language = g->language;
    if (j->language && (j->default_language = language_read(&j->prompt, str_of(j->language, strlen(j->language)), e)) < 0)
        return error_prefix(e, "--language");
    if (j->task)
        j->default_task = !strcmp(j->task, "translate") ? TASK_TRANSLATE : TASK_TRANSCRIBE;
    else if (g->has_task)
        j->default_task = g->translate ? TASK_TRANSLATE : TASK_TRANSCRIBE;
    return 0;
}

/* Of a model of texts: where an answer ends; options that only speech has are refused. */
static int text_only(struct job *j, struct error *e)
{
    const char *option = j->language ? "--language" : j->task ? "--task" : j->timestamps ? "--return-timestamps" :
                         j->no_timestamps ? "--no-return-timestamps" : j->condition ? "--condition-on-prev-tokens" :
                         j->no_condition ? "--no-condition-on-prev-tokens" :
                             j->asked.no_speech_threshold > 0 ? "--no-speech-threshold" : NULL;
    if (option)
        return error_set(e, STATUS_BAD, "%s: '%s' is a model of texts (%s)", option, j->path, j->loaded.model->model_type);
    struct rules *r = &j->generation.rules;
    int32_t end = tokenizer_find(j->tokenizer, "<eos>");
    if (!r->n_end && end >= 0)
        r->end[r->n_end++] = end;
    return 0;
}

/* The tokenizer's control tokens; the configuration says which languages there are. */
static int prompt_open(struct job *j, struct error *e)
{
    const struct generation *g = &j->generation;
    struct rules *r = &j->generation.rules;
    char why[WHY];
    if (prompt_init(&j->prompt, j->tokenizer, g->english, why) < 0)
        return error_set(e, STATUS_BAD, "'%s': %s", j->loaded.dir.path, why);
    if ((size_t)j->prompt.no_timestamps >= j->loaded.model->vocab)
        return error_set(e, STATUS_BAD, "'%s': the tokenizer's <|notimestamps|> is %d, but the model has %zu ids",
                         j->loaded.dir.path, (int)j->prompt.no_timestamps, j->loaded.model->vocab);
    if (g->has_languages)
        memcpy(j->prompt.language, g->language_id, sizeof g->language_id);
    j->previous = g->previous >= 0 ? g->previous : j->prompt.previous;
    if (!r->n_end)
        r->end[r->n_end++] = j->prompt.end;
    if (r->timestamp < 0 && j->prompt.timestamp > 0 && (size_t)j->prompt.timestamp < j->loaded.model->vocab) {
        r->no_timestamps = j->prompt.no_timestamps;
        r->timestamp = j->prompt.timestamp;
    }
    return 0;
}

static int tokens_read(struct job *j, struct error *e)
{
    struct model *m = j->loaded.model;
    if (generation_from_dir(&j->generation, &j->loaded.dir, m->vocab, e) < 0 || sampling_settle(j, e) < 0 ||
        !(j->tokenizer = tokenizer_from_dir(j->loaded.dir.path, e)))
        return -1;
    int32_t ids = tokenizer_text_size(j->tokenizer);
    if ((size_t)ids > m->vocab)
        return error_set(e, STATUS_BAD, "'%s': the tokenizer has %d ids, the model %zu", j->loaded.dir.path, (int)ids,
                         m->vocab);
    if (!j->speech)
        return text_only(j, e);
    return prompt_open(j, e) < 0 || asked_check(j, e) < 0 ? -1 : 0;
}

int generator_make(struct job *j, size_t rows, size_t tokens, struct error *e)
{
    char why[WHY];
    if (j->generator.logits)
        generator_close(&j->generator);
    if (generator_open(&j->generator, j->tape, j->loaded.model, &j->generation.rules, rows * j->beams, tokens, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    j->generator.sampling = j->sampling;
    return 0;
}

/* Room for a batch, its answers, and rows that failed between. */
static int room_make(struct job *j, struct error *e)
{
    struct model *m = j->loaded.model;
    size_t rows = (size_t)j->batch_size;
    char why[WHY];
    j->tape = tape_new(&j->machine.compute);
    j->room = 4 * rows + 64;
    j->row = calloc(j->room, sizeof *j->row);
    j->answer = calloc(rows, sizeof *j->answer);
    j->kept = calloc(rows, sizeof *j->kept);
    j->going = calloc(rows, sizeof *j->going);
    j->silent = calloc(rows, sizeof *j->silent);
    j->features = malloc(m->bins * m->frames * sizeof *j->features + 1);
    j->ids = malloc(m->max_tokens * sizeof *j->ids);
    if (!j->tape || !j->row || !j->answer || !j->kept || !j->going || !j->silent || !j->features || !j->ids)
        return error_memory(e);
    if (batch_reserve(&j->batch, rows, rows * m->max_tokens, m->bins, m->frames, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    if (!j->max_new_tokens)
        j->max_new_tokens = j->generation.max_new_tokens;
    if (j->max_new_tokens)
        j->generation.max_length = 0;       /* the other says how long */
    else
        j->max_new_tokens = j->speech ? (int64_t)m->max_tokens : TEXT_NEW_TOKENS;
    for (size_t i = 0; i < rows; i++) {
        j->answer[i].room = m->max_tokens;
        j->answer[i].token = malloc(m->max_tokens * sizeof *j->answer[i].token);
        if (!j->answer[i].token)
            return error_memory(e);
    }
    return j->speech ? generator_make(j, rows, 0, e) : 0;   /* of texts: when prompts are known */
}

int job_open(struct job *j, int64_t threads, struct error *e)
{
    if (machine_open(&j->machine, threads, "auto", e) < 0 || model_load(j->path, j->base, &j->loaded, e) < 0)
        return -1;
    j->speech = j->loaded.model->bins > 0;
    return tokens_read(j, e) < 0 || room_make(j, e) < 0 ? -1 : 0;
}

void job_close(struct job *j)
{
    for (size_t i = 0; j->row && i < j->rows; i++)
        row_clear(j->row + i);
    for (size_t i = 0; j->answer && i < (size_t)j->batch_size; i++)
        free(j->answer[i].token);
    free(j->row);
    free(j->answer);
    free(j->kept);
    free(j->going);
    free(j->silent);
    free(j->features);
    free(j->ids);
    generator_close(&j->generator);
    batch_release(&j->batch);
    tape_free(j->tape);
    generation_release(&j->generation);
    tokenizer_free(j->tokenizer);
    model_unload(&j->loaded);
    machine_close(&j->machine);
}
