/* cmd/shared/text/generation.h - generation_config.json: how a model decodes unless options say otherwise */
#ifndef PENSTOCK_GENERATION_H
#define PENSTOCK_GENERATION_H

#include "kernels/models/generate/generate.h"
#include "kernels/text/prompt.h"
#include "libcommon/format/modeldir.h"

enum { TEMPERATURES = 16, FORCED_IDS = 8 };

/* A key that is absent or null leaves what { 0 } and the comments say. */
struct generation {
    struct rules rules;
    int english;                /* of is_multilingual: 1 English only, 0 not, -1 it does not say */
    double temperature, top_p, min_p, repetition_penalty, length_penalty;      /* 1, 1, 0, 1, 1 */
    double temperatures[TEMPERATURES];  /* a list: the first, and those that follow what is not credible */
    size_t n_temperatures;      /* 0: it is a number */
    int64_t top_k, beams, max_length, max_new_tokens;   /* 50, 1, 0 none, 0 none */
    double logprob_threshold, compression_threshold, no_speech_threshold;       /* NAN: none */
    bool condition, timestamps; /* condition_on_prev_tokens, return_timestamps */
    int32_t forced[FORCED_IDS]; /* forced_decoder_ids behind the start; -1: the language that is detected */
    size_t n_forced;
    bool has_languages;         /* lang_to_id: */
    int32_t language_id[LANGUAGES];     /* -1: not one of this model */
    int32_t previous;           /* prev_sot_token_id, or -1 */
    int language;               /* index of `language`, or -1 */
    bool has_task, translate;   /* task */
    const char *absent;         /* a key that would change draws and is not there, or NULL */
};

/* generation_config.json, or config.json, which held the same keys before there was one; forced ids come from the
 * second also where the first has none, and so does the end.  Ids are checked against vocab. */
int generation_from_dir(struct generation *g, const struct modeldir *dir, size_t vocab, struct error *e);
/* The same of texts that are parsed: own may be NULL; name is for messages. */
int generation_read(struct generation *g, const json_t *own, const json_t *config, const char *name, size_t vocab,
                    struct error *e);
void generation_release(struct generation *g);

#endif
