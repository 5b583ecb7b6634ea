/* kernels/models/generate/generate.h - tokens out of a model, one after another: rules, choice, the loop over a batch
 *
 * Names and meanings as in transformers' generate. */
#ifndef PENSTOCK_GENERATE_H
#define PENSTOCK_GENERATE_H

#include <jansson.h>

#include "kernels/models/model.h"

/* --- which tokens may come: generation_config.json ------------------------------------ */
struct rules {
    int32_t *suppress, *begin_suppress;     /* never; not as the first generated token */
    size_t n_suppress, n_begin;
    int32_t end[8];                         /* any of them ends a row */
    size_t n_end;
    int32_t no_timestamps, timestamp;       /* Whisper: the token that forbids times, the first time (<|0.00|>); -1: none */
    int32_t max_initial;                    /* the latest first time, in steps of 0.02 s; -1: any */
    /* by what came before, prompt and answer (history.c) */
    size_t no_repeat;                       /* no run of so many tokens twice; 0: any */
    size_t min_length, min_new;             /* no end before so many tokens in all, or in the answer; 0: none */
    int32_t *words;                         /* bad_words_ids: the length of each, then its ids */
    size_t n_words;                         /* of all these numbers */
    /* beams: a search is over when no going one can beat the worst answer at its length so far; when there are
     * enough answers; when none can beat it at full length */
    enum { EARLY_GUESS, EARLY_FULL, EARLY_NEVER } early;
};
/* json: generation_config.json's text, or config.json's where there is none.  Ids are checked against vocab. */
int rules_read(struct rules *r, const char *json, size_t size, size_t vocab, char why[WHY]);
void rules_release(struct rules *r);
/* Forbidden tokens become -infinity in logits[vocab].  done[0, n): what was generated so far. */
void rules_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *done, size_t n, bool timestamps);
bool rules_end(const struct rules *r, int32_t token);   /* does it end a row? */
/* The same of what stands before: no_repeat to words.  rules_read calls the first. */
int history_read(struct rules *r, const json_t *config, size_t vocab, char why[WHY]);
void history_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *prompt, size_t n_prompt,
                   const int32_t *done, size_t n);

/* --- which of them is taken ------------------------------------------------------------- */
struct sampling {               /* { 0 }: always the likeliest */
    double temperature;         /* 0: the likeliest; else one is drawn from softmax(logits / temperature) */
    size_t top_k;               /* of the k likeliest; 0: all */
    double top_p;               /* of the fewest whose sum reaches it; 0 or 1: all */
    double min_p;               /* of those at least so likely, relative to the likeliest; 0: all */
    /* logits of tokens in prompt and answer: divided by it if positive, else multiplied; 0 or 1: none */
    double repetition_penalty;
    uint64_t seed;              /* draws are keyed by (seed, the row's key, position) */
};
struct choice { float p; int32_t id; };
/* logits[vocab] are changed.  scratch: room for vocab.  *logprob: log of the token's probability, before temperature. */
int32_t token_choose(const struct sampling *s, float *logits, size_t vocab, uint64_t key, struct choice *scratch,
                     double *logprob);
/* The penalty, for the tokens of both lists. */
void repetition_apply(const struct sampling *s, float *logits, size_t vocab, const int32_t *prompt, size_t n_prompt,
                      const int32_t *done, size_t n);

/* --- the loop ---------------------------------------------------------------------------- */
struct generate_row {
    bool timestamps;            /* in: Whisper's timestamp rules hold */
    uint64_t key;               /* in: of the row, for sampling */
    int32_t *token;             /* in: room for `room`; out: what was generated, without the end token */
    size_t room, n;
    bool ended;                 /* out: by an end token, not by length */
    int32_t end;                /* out: which, if ended */
    bool going;                 /* the loop's own */
    double logprob;             /* out: sum of log p of all choices, the end included, after the rules */
    double score;               /* out, of beams: transformers' sequences_scores */
};

struct generator {
    struct tape *t;             /* borrowed, as is m */
    struct model *m;
    struct rules rules;         /* belongs to the caller */
    struct cache cache;
    struct batch next;
    float *logits;
    struct choice *scratch;
    size_t rows;
    struct sampling sampling;   /* the caller's to set; { 0 } after generator_open */
    /* May be NULL.  Called by generator_run as a row's token is chosen, the end apart; false: the row stops there. */
    bool (*each)(void *ctx, size_t row, int32_t token);
    void *each_ctx;
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
/* One step from b's prompts: the probability of one token, for each row; Whisper's of no speech. */
int generator_expect(struct generator *g, const struct batch *b, int32_t id, double *p, char why[WHY]);
/* Forgets the tokens, not what was heard. */
void generator_rewind(struct generator *g);
/* Answers to b's prompts, chosen by g->sampling: row r's go to row[r], until its end, its room, or the
 * cache's.  max_new: tokens at most, the end included. */
int generator_run(struct generator *g, const struct batch *b, struct generate_row *row, size_t max_new, char why[WHY]);
/* The same by beam search (beam.c); the generator was opened with room for beams x b->rows
 * rows.  A complete answer's score is its log probability / length^length_penalty. */
int generator_beams(struct generator *g, const struct batch *b, struct generate_row *row, size_t max_new, size_t beams,
                    double length_penalty, char why[WHY]);

/* --- long audio, window by window (windows.c) -------------------------------------------------- */
#define WINDOW_STEP 0.02        /* seconds from one of Whisper's times to the next: two frames */
struct window {
    const int32_t *token;       /* what was generated, without the end */
    size_t n;
    int32_t time;               /* <|0.00|> */
    double begin;               /* seconds of the clip before the window */
    size_t frames;              /* of the clip in the window: fewer than the model's only in the last */
};
struct utterance { double start, end; size_t from, n; };        /* seconds in the clip; tokens */
/* Utterances end where two times follow each other.  What comes after the last such pair is
 * left to the next window, which begins at that pair, unless it ends in a single time: then
 * nothing follows it in the window.  u: room for n + 1; *used: tokens that stay; *advance: frames
 * to the next window, at least 1 if frames is.  Returns the number of utterances. */
size_t window_read(const struct window *w, struct utterance *u, size_t *used, size_t *advance);

/* --- is an answer credible? ------------------------------------------------------------------ */
/* Bytes of the ids (as few a token as vocab needs) over their size after zlib: a loop
 * compresses well.  0 of no ids or out of memory. */
double compression_ratio(const int32_t *ids, size_t n, size_t vocab);
/* Mean log probability of an answer's tokens, the end included. */
double mean_logprob(const struct generate_row *row);

#endif
