/* cmd/train-step/setup/provenance.c - see provenance.h */
#include "cmd/train-step/setup/provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/shared/text/tokens.h"

static int differs(const struct trainer *t, const char *stage, const char *key, const char *got, const char *want,
                   struct error *e)
{
    return error_set(e, STATUS_BAD, "the samples were made for another model: %s had %s %s, but '%s' wants %s", stage,
                     key, got, t->dir.path, want);
}

/* want 0: the model does not say. */
static int same_number(const struct trainer *t, const struct header *h, const char *stage, const char *key, double want,
                       struct error *e)
{
    double got;
    char a[32], b[32];
    if (want == 0 || !header_option_real(h, stage, key, &got) || got == want)
        return 0;
    snprintf(a, sizeof a, "%.12g", got);
    snprintf(b, sizeof b, "%.12g", want);
    return differs(t, stage, key, a, b, e);
}

static int same_text(const struct trainer *t, const struct header *h, const char *stage, const char *key,
                     const char *want, struct error *e)
{
    struct span got;
    char a[128];
    if (!want || !header_option_str(h, stage, key, &got) || (got.size == strlen(want) && !memcmp(got.data, want, got.size)))
        return 0;
    snprintf(a, sizeof a, "%.*s", (int)(got.size < 100 ? got.size : 100), (const char *)got.data);
    return differs(t, stage, key, a, want, e);
}

/* preprocessor_config.json, or feature_extractor in processor_config.json; NULL with e->status 0: none. */
static json_t *preprocessor_read(const char *dir, struct error *e)
{
    e->status = 0;
    json_t *j = json_read_in(dir, "preprocessor_config.json", e);
    if (j || e->status)
        return j;
    json_t *processor = json_read_in(dir, "processor_config.json", e);
    j = json_incref(json_object_get(processor, "feature_extractor"));
    json_decref(processor);
    return j;
}

static int features_check(const struct trainer *t, const struct header *h, struct error *e)
{
    static const char *const keys[] = { "sampling_rate", "n_fft", "hop_length", "chunk_length" };
    if (same_number(t, h, "mel-features", "feature_size", (double)t->model->bins, e) < 0)
        return -1;
    json_t *settings = preprocessor_read(t->dir.path, e);
    if (!settings)
        return e->status ? -1 : 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof keys / sizeof *keys; i++)
        rc = same_number(t, h, "mel-features", keys[i], json_number_value(json_object_get(settings, keys[i])), e);
    json_decref(settings);
    return rc;
}

/* The hash that tokenize puts in the header, of the model's own tokenizer.json. */
static int tokenizer_check(const struct trainer *t, const struct header *h, struct error *e)
{
    struct span got;
    char hash[17];
    if (!header_option_str(h, "tokenize", "tokenizer", &got))
        return 0;
    struct tokenizer *own = tokenizer_from_dir(t->dir.path, e);
    if (!own)
        return -1;
    snprintf(hash, sizeof hash, "%016" PRIx64, tokenizer_hash(own));
    tokenizer_free(own);
    return same_text(t, h, "tokenize", "tokenizer", hash, e);
}

int provenance_check(const struct trainer *t, const struct header *h, struct error *e)
{
    if (same_text(t, h, "tokenize", "model_type", t->model->model_type, e) < 0 || features_check(t, h, e) < 0)
        return -1;
    return tokenizer_check(t, h, e);
}
