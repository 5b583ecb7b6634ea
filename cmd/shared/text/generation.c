/* cmd/shared/text/generation.c - see generation.h */
#include "cmd/shared/text/generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const json_t *config;
    const char *name;           /* of the file */
    size_t vocab;
    struct error *e;
};

static const json_t *value_of(const struct reader *r, const char *key)
{
    const json_t *v = json_object_get(r->config, key);
    return json_is_null(v) ? NULL : v;
}

static int refuse(const struct reader *r, const char *key, const char *what)
{
    return error_set(r->e, STATUS_BAD, "'%s': '%s' must be %s", r->name, key, what);
}

static int real_read(const struct reader *r, const char *key, double min, double max, double *to)
{
    const json_t *v = value_of(r, key);
    double x = json_number_value(v);
    char what[60];
    if (!v)
        return 0;
    snprintf(what, sizeof what, "a number from %g to %g", min, max);
    if (!json_is_number(v) || !(x >= min && x <= max))
        return refuse(r, key, what);
    *to = x;
    return 0;
}

static int whole_read(const struct reader *r, const char *key, int64_t min, int64_t *to)
{
    double x = (double)*to;
    if (real_read(r, key, (double)min, 1e9, &x) < 0)
        return -1;
    if (x != floor(x))
        return refuse(r, key, "a whole number");
    *to = (int64_t)x;
    return 0;
}

static int flag_read(const struct reader *r, const char *key, bool *to)
{
    const json_t *v = value_of(r, key);
    if (v && !json_is_boolean(v))
        return refuse(r, key, "true or false");
    *to = json_is_true(v);
    return 0;
}

/* A number, or a list of them. */
static int temperature_read(const struct reader *r, struct generation *g)
{
    const json_t *v = value_of(r, "temperature"), *x;
    size_t i;
    if (!json_is_array(v))
        return real_read(r, "temperature", 0, 1e3, &g->temperature);
    json_array_foreach(v, i, x) {
        double t = json_number_value(x);
        if (g->n_temperatures == TEMPERATURES || !json_is_number(x) || !(t >= 0 && t <= 1e3))
            return refuse(r, "temperature", "a number from 0 to 1000, or at most 16 of them");
        g->temperatures[g->n_temperatures++] = t;
    }
    return 0;
}

/* [[1, id], [2, id] ...] */
static int forced_read(const struct reader *r, struct generation *g)
{
    const json_t *v = value_of(r, "forced_decoder_ids"), *pair;
    static const char what[] = "pairs of a position, from 1 on, and an id";
    size_t i;
    if (!v || g->n_forced)
        return 0;
    if (!json_is_array(v) || json_array_size(v) > FORCED_IDS)
        return refuse(r, "forced_decoder_ids", what);
    json_array_foreach(v, i, pair) {
        const json_t *id = json_array_get(pair, 1);
        json_int_t n = json_integer_value(id);
        if (json_integer_value(json_array_get(pair, 0)) != (json_int_t)i + 1 || !id ||
            (!json_is_null(id) && !(json_is_integer(id) && n >= 0 && (size_t)n < r->vocab)))
            return refuse(r, "forced_decoder_ids", what);
        g->forced[g->n_forced++] = json_is_null(id) ? -1 : (int32_t)n;
    }
    return 0;
}

/* {"<|en|>": id, ...} */
static int languages_read(const struct reader *r, struct generation *g)
{
    json_t *v = (json_t *)value_of(r, "lang_to_id"), *id;
    const char *key;
    for (int i = 0; i < LANGUAGES; i++)
        g->language_id[i] = -1;
    if (v && !json_is_object(v))
        return refuse(r, "lang_to_id", "an object of tokens and ids");
    json_object_foreach(v, key, id) {
        json_int_t n = json_integer_value(id);
        int i = language_find(str_of(key, strlen(key)));
        if (!json_is_integer(id) || n < 0 || (size_t)n >= r->vocab)
            return refuse(r, "lang_to_id", "an object of tokens and ids that the model has");
        if (i >= 0)
            g->language_id[i] = (int32_t)n;
        g->has_languages |= i >= 0;
    }
    return 0;
}

/* What the checkpoint was tuned to. */
static int wish_read(const struct reader *r, struct generation *g)
{
    const json_t *language = value_of(r, "language"), *task = value_of(r, "task"),
                 *multilingual = value_of(r, "is_multilingual"), *previous = value_of(r, "prev_sot_token_id");
    g->english = json_is_boolean(multilingual) ? !json_is_true(multilingual) : -1;
    struct str named = str_of(json_string_value(language), json_string_length(language));
    g->language = json_is_string(language) ? language_find(named) : -1;
    if (language && g->language < 0)
        return refuse(r, "language", "a language that Whisper knows");
    g->has_task = task != NULL;
    g->translate = json_is_string(task) && !strcmp(json_string_value(task), "translate");
    if (task && !g->translate && !(json_is_string(task) && !strcmp(json_string_value(task), "transcribe")))
        return refuse(r, "task", "transcribe or translate");
    json_int_t n = json_integer_value(previous);
    if (previous && !(json_is_integer(previous) && n >= 0 && (size_t)n < r->vocab))
        return refuse(r, "prev_sot_token_id", "an id that the model has");
    g->previous = previous ? (int32_t)n : -1;
    return 0;
}

/* Does it say nothing?  null, 0 or 1 as the key has it, an empty list. */
static bool neutral(const json_t *v, double nothing)
{
    return !v || json_is_false(v) || (json_is_number(v) && json_number_value(v) == nothing) ||
           ((json_is_array(v) || json_is_object(v)) && !json_array_size(v) && !json_object_size(v));
}

/* What transformers would heed and is not there. */
static int absent_refuse(const struct reader *r, struct generation *g)
{
    static const struct { const char *key; double nothing; bool draw; } keys[] = {
        { "sequence_bias", 0, false }, { "encoder_repetition_penalty", 1, false },
        { "encoder_no_repeat_ngram_size", 0, false }, { "exponential_decay_length_penalty", 0, false },
        { "forced_eos_token_id", -1, false }, { "guidance_scale", 1, false }, { "diversity_penalty", 0, false },
        { "typical_p", 1, true }, { "epsilon_cutoff", 0, true }, { "eta_cutoff", 0, true }, { "top_h", 1, true },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (neutral(value_of(r, keys[i].key), keys[i].nothing))
            continue;
        if (!keys[i].draw)
            return error_set(r->e, STATUS_BAD, "'%s': '%s' would change the answers and is not there: take it out", r->name,
                             keys[i].key);
        g->absent = keys[i].key;
    }
    return 0;
}

static int settings_read(const struct reader *r, struct generation *g)
{
    return absent_refuse(r, g) < 0 || temperature_read(r, g) < 0 || whole_read(r, "top_k", 0, &g->top_k) < 0 ||
           real_read(r, "top_p", 0, 1, &g->top_p) < 0 ||
           real_read(r, "min_p", 0, 1, &g->min_p) < 0 ||
               real_read(r, "repetition_penalty", 1e-3, 1e3, &g->repetition_penalty) < 0 ||
           whole_read(r, "num_beams", 1, &g->beams) < 0 || real_read(r, "length_penalty", -10, 10, &g->length_penalty) < 0 ||
           whole_read(r, "max_length", 1, &g->max_length) < 0 ||
               whole_read(r, "max_new_tokens", 1, &g->max_new_tokens) < 0 ||
           real_read(r, "logprob_threshold", -1e3, 1e3, &g->logprob_threshold) < 0 ||
           real_read(r, "compression_ratio_threshold", 0, 1e3, &g->compression_threshold) < 0 ||
           real_read(r, "no_speech_threshold", 0, 1, &g->no_speech_threshold) < 0 ||
           flag_read(r, "condition_on_prev_tokens", &g->condition) < 0 ||
               flag_read(r, "return_timestamps", &g->timestamps) < 0 ||
           forced_read(r, g) < 0 || languages_read(r, g) < 0 || wish_read(r, g) < 0 ? -1 : 0;
}

int generation_read(struct generation *g, const json_t *own, const json_t *config, const char *name, size_t vocab,
                    struct error *e)
{
    char why[WHY];
    *g = (struct generation){ .temperature = 1, .top_k = 50, .top_p = 1, .repetition_penalty = 1, .length_penalty = 1,
                              .beams = 1, .logprob_threshold = NAN, .compression_threshold = NAN,
                              .no_speech_threshold = NAN };
    struct reader first = { own ? own : config, name, vocab, e }, second = { config, name, vocab, e };
    char *text = json_dumps(first.config, 0);
    int rc = text ? rules_read(&g->rules, text, strlen(text), vocab, why) : error_memory(e);
    if (text && rc < 0)
        error_set(e, STATUS_BAD, "'%s': %s", name, why);
    free(text);
    if (rc == 0)
        rc = settings_read(&first, g);
    if (rc == 0 && own)
        rc = forced_read(&second, g);
    json_int_t end = json_integer_value(json_object_get(config, "eos_token_id"));
    if (rc == 0 && !g->rules.n_end && end > 0 && (size_t)end < vocab)
        g->rules.end[g->rules.n_end++] = (int32_t)end;
    return rc;
}

int generation_from_dir(struct generation *g, const struct modeldir *dir, size_t vocab, struct error *e)
{
    char name[600];
    e->status = 0;
    json_t *own = json_read_in(dir->path, "generation_config.json", e);
    if (!own && e->status)
        return -1;
    snprintf(name, sizeof name, "%.500s/%s", dir->path, own ? "generation_config.json" : "config.json");
    int rc = generation_read(g, own, dir->json, name, vocab, e);
    json_decref(own);
    return rc;
}

void generation_release(struct generation *g) { rules_release(&g->rules); }
