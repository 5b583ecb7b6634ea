/* kernels/models/generate.h - tokens out of a model, one after another: rules, choice, the loop over a batch
 *
 * Names and meanings as in transformers' generate. */
#ifndef PENSTOCK_GENERATE_H
#define PENSTOCK_GENERATE_H

#include "kernels/models/model.h"

/* --- which tokens may come: generation_config.json ------------------------------------ */
struct rules {
    int32_t *suppress, *begin_suppress;     /* never; not as the first generated token */
    size_t n_suppress, n_begin;
    int32_t end[8];                         /* any of them ends a row */
    size_t n_end;
    int32_t no_timestamps, timestamp;       /* Whisper: the token that forbids times, the first time (<|0.00|>); -1: none */
    int32_t max_initial;                    /* the latest first time, in steps of 0.02 s; -1: any */
};
/* json: generation_config.json's text, or config.json's where there is none.  Ids are checked against vocab. */
int rules_read(struct rules *r, const char *json, size_t size, size_t vocab, char why[WHY]);
void rules_release(struct rules *r);
/* Forbidden tokens become -infinity in logits[vocab].  done[0, n): what was generated so far. */
void rules_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *done, size_t n, bool timestamps);

/* --- the loop ---------------------------------------------------------------------------- */
struct generate_row {
    bool timestamps;            /* in: Whisper's timestamp rules hold */
    int32_t *token;             /* in: room for `room`; out: what was generated, without the end token */
    size_t room, n;
    bool ended;                 /* out: by an end token, not by length */
    bool going;                 /* the loop's own */
    double logprob;             /* out: sum of log p of all choices, the end included, after the rules */
};

struct generator {
    struct tape *t;             /* borrowed, as is m */
    struct model *m;
    struct rules rules;         /* belongs to the caller */
    struct cache cache;
    struct batch next;
    float *logits;
    size_t rows;
};
/* Room for batches of up to `rows` rows of `tokens` positions (prompt and answer); 0: the model's own limit. */
int generator_open(struct generator *g, struct tape *t, struct model *m, const struct rules *r, size_t rows, size_t tokens,
                   char why[WHY]);
void generator_close(struct generator *g);
/* Forgets what was seen and heard: the next batch brings its features. */
void generator_clear(struct generator *g);

/* One step from b's prompts, for each row the best of ids[0, n): Whisper's language
 * detection, with prompts of <|startoftranscript|>.  What was heard is kept for generator_run. */
int generator_detect(struct generator *g, const struct batch *b, const int32_t *ids, size_t n, int32_t *best, char why[WHY]);
/* Greedy answers to b's prompts: row r's go to row[r], until its end, its room, or the
 * cache's.  max_new: tokens at most, the end included. */
int generator_run(struct generator *g, const struct batch *b, struct generate_row *row, size_t max_new, char why[WHY]);

#endif
