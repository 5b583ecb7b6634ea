/* cmd/tokenize/model.c - what a model's directory says of its texts */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/text/tokens.h"
#include "cmd/tokenize/job.h"
#include "libcommon/format/modeldir.h"
#include "libcommon/sys/log.h"

static int tokenizer_open(struct job *j, struct error *e)
{
    if (!(j->t = tokenizer_from_dir(j->model, e)))
        return -1;
    j->e = encoder_new(j->t);
    return j->e ? 0 : error_memory(e);
}

/* A file that may be missing: NULL with status 0. */
static int json_open(const struct job *j, const char *name, json_t **to, struct error *e)
{
    e->status = 0;
    *to = json_read_in(j->model, name, e);
    return *to || e->status == 0 ? 0 : -1;
}

static int64_t json_int(json_t *in, const char *key)
{
    int64_t v = json_integer_value(json_object_get(in, key));

    return v > 0 ? v : 0;
}

static int config_read(struct job *j, struct error *e)
{
    struct modeldir dir;
    json_t *text;
    const char *type;

    if (modeldir_open_config(j->model, &dir, e) < 0)
        return -1;
    type = json_string_value(json_object_get(dir.json, "model_type"));
    snprintf(j->model_type, sizeof j->model_type, "%s", type ? type : "");
    text = json_object_get(dir.json, "text_config");
    if (!json_is_object(text))
        text = dir.json;
    j->vocab_size = json_int(text, "vocab_size");
    j->whisper = !strcmp(j->model_type, "whisper");
    j->limit = json_int(text, j->whisper ? "max_target_positions" : "max_position_embeddings");
    j->chat = chat_find(j->model_type);
    modeldir_close(&dir);
    if (!j->whisper && !j->chat)
        return error_set(e, STATUS_BAD, "'%s': model_type '%s' is none of whisper, gemma3, gemma3n", j->model,
                         j->model_type);
    return 0;
}

/* A checkpoint may name the language and task it was made for. */
static int defaults_read(struct job *j, struct error *e)
{
    json_t *settings;
    const char *language, *task;
    int bad = 0;

    if (json_open(j, "tokenizer_config.json", &settings, e) < 0)
        return -1;
    language = json_string_value(json_object_get(settings, "language"));
    task = json_string_value(json_object_get(settings, "task"));
    if (j->language || language) {
        const char *word = j->language ? j->language : language;
        j->default_language = language_read(&j->prompt, str_of(word, strlen(word)), e);
        if (j->default_language < 0)
            bad = error_prefix(e, j->language ? "--language" : "tokenizer_config.json");
    }
    if (!j->task && task)
        j->task = !strcmp(task, "translate") ? "translate" : "transcribe";
    json_decref(settings);
    if (!bad && j->prompt.english && j->task && !strcmp(j->task, "translate"))
        return error_set(e, STATUS_BAD, "--task translate: this model knows English only");
    return bad;
}

static int whisper_open(struct job *j, struct error *e)
{
    json_t *generation, *multilingual;
    char why[WHY];
    int english = -1;

    if (json_open(j, "generation_config.json", &generation, e) < 0)
        return -1;
    multilingual = json_object_get(generation, "is_multilingual");
    if (json_is_boolean(multilingual))
        english = !json_is_true(multilingual);
    json_decref(generation);
    if (!strcmp(j->loss_on, "all"))
        return error_set(e, STATUS_BAD, "--loss-on all is for talks; '%s' is %s", j->model, j->model_type);
    if (prompt_init(&j->prompt, j->t, english, why))
        return error_set(e, STATUS_BAD, "'%s': %s", j->model, why);
    if (!j->limit)
        j->limit = 448;
    return defaults_read(j, e);
}

/* A checkpoint that was tuned to another form of talk would unlearn it: told once. */
static int template_check(struct job *j, struct error *e)
{
    json_t *settings;
    const char *form;

    if (json_open(j, "tokenizer_config.json", &settings, e) < 0)
        return -1;
    form = json_string_value(json_object_get(settings, "chat_template"));
    if (form && !strstr(form, "<start_of_turn>"))
        warn("'%s' has a chat template of its own, without <start_of_turn>; rows are rendered as %s's", j->model,
             j->model_type);
    json_decref(settings);
    return 0;
}

static int chat_open(struct job *j, struct error *e)
{
    j->bos = tokenizer_find(j->t, "<bos>");
    if (j->bos < 0 || tokenizer_find(j->t, "<start_of_turn>") < 0 || tokenizer_find(j->t, "<end_of_turn>") < 0)
        return error_set(e, STATUS_BAD, "'%s': the tokenizer lacks <bos>, <start_of_turn> or <end_of_turn>, which %s has",
                         j->model, j->model_type);
    if (template_check(j, e) < 0)
        return -1;
    if (j->language || j->task || j->timestamps || j->mixed || j->previous_probability > 0)
        return error_set(e, STATUS_BAD, "--language, --task, --timestamps and probabilities are for Whisper; '%s' is %s",
                         j->model, j->model_type);
    return 0;
}

int model_open(struct job *j, struct error *e)
{
    j->default_language = -1;
    if (config_read(j, e) < 0 || tokenizer_open(j, e) < 0 || (j->whisper ? whisper_open(j, e) : chat_open(j, e)) < 0)
        return -1;
    if (j->max_length && j->limit && j->max_length > j->limit)
        return error_set(e, STATUS_BAD, "--max-length %lld: '%s' takes %lld tokens", (long long)j->max_length, j->model,
                         (long long)j->limit);
    if (!j->max_length)
        j->max_length = j->limit;
    return 0;
}

void job_release(struct job *j)
{
    encoder_free(j->e);
    tokenizer_free(j->t);
    tokens_release(&j->ids);
    chat_release(&j->talk);
    free(j->learnt);
}
