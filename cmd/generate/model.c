/* cmd/generate/model.c - what a model's directory gives: weights, tokens, rules of decoding */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "cmd/shared/model_tokens.h"

/* generation_config.json, or config.json, which held the same keys before there was one. */
static int generation_read(struct job *j, int *english, struct error *e)
{
    struct model *m = j->loaded.model;
    char why[WHY];
    e->status = 0;
    json_t *settings = json_read_in(j->loaded.dir.path, "generation_config.json", e);
    if (!settings && e->status)
        return -1;
    const char *name = settings ? "generation_config.json" : "config.json";
    const json_t *multilingual = json_object_get(settings, "is_multilingual");
    if (json_is_boolean(multilingual))
        *english = !json_is_true(multilingual);
    char *text = settings ? json_dumps(settings, 0) : NULL;
    int rc = rules_read(&j->rules, text ? text : (const char *)j->loaded.dir.config.data,
                        text ? strlen(text) : j->loaded.dir.config.size, m->vocab, why);
    free(text);
    if (rc < 0)
        error_set(e, STATUS_BAD, "'%s/%s': %s", j->loaded.dir.path, name, why);
    else
        rc = sampling_settle(j, settings, e);
    json_decref(settings);
    return rc;
}

int language_read(const struct job *j, struct str word, struct error *e)
{
    int i = language_find(word);
    if (i < 0)
        return error_set(e, STATUS_BAD, "unknown language '%.*s'; Whisper takes codes ('pt') and English names",
                         (int)(word.n < 60 ? word.n : 60), word.s);
    if (j->prompt.language[i] < 0)
        return error_set(e, STATUS_BAD, "this model has no token for %s", language_name[i]);
    return i;
}

static int asked_check(struct job *j, struct error *e)
{
    j->default_language = -1;
    if (j->asked.no_speech_threshold > 0 && !(j->asked.logprob_threshold < 0))
        return error_set(e, STATUS_BAD, "--no-speech-threshold needs --logprob-threshold: both together tell silence");
    if (j->timestamps && j->rules.timestamp < 0)
        return error_set(e, STATUS_BAD, "--return-timestamps: this model has no tokens for times");
    if (j->prompt.english && j->task && !strcmp(j->task, "translate"))
        return error_set(e, STATUS_BAD, "--task translate: this model knows English only");
    if (!j->language)
        return 0;
    if (j->prompt.english && language_find(str_of(j->language, strlen(j->language))) != language_find(str_of("en", 2)))
        return error_set(e, STATUS_BAD, "--language %s: this model knows English only", j->language);
    if (j->prompt.english)
        return 0;
    j->default_language = language_read(j, str_of(j->language, strlen(j->language)), e);
    return j->default_language < 0 ? error_prefix(e, "--language") : 0;
}

/* Of a model of texts: where an answer ends; options that only speech has are refused. */
static int text_only(struct job *j, struct error *e)
{
    const char *option = j->language ? "--language" : j->task ? "--task" : j->timestamps ? "--return-timestamps" :
                         j->asked.no_speech_threshold > 0 ? "--no-speech-threshold" : NULL;
    if (option)
        return error_set(e, STATUS_BAD, "%s: '%s' is a model of texts (%s)", option, j->path, j->loaded.model->model_type);
    int32_t end = tokenizer_find(j->tokenizer, "<eos>");
    if (!j->rules.n_end && end >= 0)
        j->rules.end[j->rules.n_end++] = end;
    return 0;
}

static int tokens_read(struct job *j, struct error *e)
{
    char why[WHY];
    int english = -1;
    if (generation_read(j, &english, e) < 0 || !(j->tokenizer = tokenizer_from_dir(j->loaded.dir.path, e)))
        return -1;
    int32_t ids = tokenizer_text_size(j->tokenizer);
    if ((size_t)ids > j->loaded.model->vocab)
        return error_set(e, STATUS_BAD, "'%s': the tokenizer has %d ids, the model %zu", j->loaded.dir.path, (int)ids,
                         j->loaded.model->vocab);
    if (!j->speech)
        return text_only(j, e);
    if (prompt_init(&j->prompt, j->tokenizer, english, why) < 0)
        return error_set(e, STATUS_BAD, "'%s': %s", j->loaded.dir.path, why);
    if ((size_t)j->prompt.no_timestamps >= j->loaded.model->vocab)
        return error_set(e, STATUS_BAD, "'%s': the tokenizer's <|notimestamps|> is %d, but the model has %zu ids", j->loaded.dir.path,
                         (int)j->prompt.no_timestamps, j->loaded.model->vocab);
    if (!j->rules.n_end)
        j->rules.end[j->rules.n_end++] = j->prompt.end;
    if (j->rules.timestamp < 0 && j->prompt.timestamp > 0 && (size_t)j->prompt.timestamp < j->loaded.model->vocab) {
        j->rules.no_timestamps = j->prompt.no_timestamps;
        j->rules.timestamp = j->prompt.timestamp;
    }
    return asked_check(j, e);
}

int generator_make(struct job *j, size_t rows, size_t tokens, struct error *e)
{
    char why[WHY];
    if (j->generator.logits)
        generator_close(&j->generator);
    if (generator_open(&j->generator, j->tape, j->loaded.model, &j->rules, rows * (size_t)j->asked.beams, tokens, why) < 0)
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
        return error_set(e, STATUS_AGAIN, "out of memory");
    if (batch_reserve(&j->batch, rows, rows * m->max_tokens, m->bins, m->frames, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    if (!j->max_new_tokens)
        j->max_new_tokens = j->speech ? (int64_t)m->max_tokens : TEXT_NEW_TOKENS;
    for (size_t i = 0; i < rows; i++) {
        j->answer[i].room = m->max_tokens;
        j->answer[i].token = malloc(m->max_tokens * sizeof *j->answer[i].token);
        if (!j->answer[i].token)
            return error_set(e, STATUS_AGAIN, "out of memory");
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
    rules_release(&j->rules);
    tokenizer_free(j->tokenizer);
    model_unload(&j->loaded);
    machine_close(&j->machine);
}
