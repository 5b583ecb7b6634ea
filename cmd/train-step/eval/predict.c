/* cmd/train-step/eval/predict.c - see predict.h */
#include "cmd/train-step/eval/predict.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/shared/text/generation.h"
#include "cmd/shared/text/tokens.h"

struct predictor {
    const struct model *model;
    struct tokenizer *tokenizer;
    struct generation generation;
    struct generator generator;
    size_t rows;
    struct generate_row *answer;
    int32_t *ids;               /* [rows, max_tokens] for the answers */
    struct text *reference;     /* [rows] */
    struct text said;
};

struct predictor *predictor_new(struct trainer *t, struct error *e)
{
    const struct model *m = t->model;
    struct predictor *p = calloc(1, sizeof *p);
    char why[WHY];
    if (!p) {
        error_memory(e);
        return NULL;
    }
    p->model = m;
    p->rows = t->collator.rows;
    p->answer = calloc(p->rows, sizeof *p->answer);
    p->reference = calloc(p->rows, sizeof *p->reference);
    p->ids = malloc(p->rows * m->max_tokens * sizeof *p->ids);
    int rc = p->answer && p->reference && p->ids ? 0 : error_memory(e);
    if (rc == 0 && (!(p->tokenizer = tokenizer_from_dir(t->dir.path, e)) ||
                    generation_from_dir(&p->generation, &t->dir, m->vocab, e) < 0))
        rc = -1;
    if (rc == 0 && generator_open(&p->generator, t->tape, t->model, &p->generation.rules, p->rows, 0, why) < 0)
        rc = error_set(e, STATUS_AGAIN, "no memory for --predict-with-generate: %s", why);
    if (rc == 0)
        return p;
    predictor_free(p);
    return NULL;
}

void predictor_free(struct predictor *p)
{
    if (!p)
        return;
    generator_close(&p->generator);
    generation_release(&p->generation);
    tokenizer_free(p->tokenizer);
    for (size_t r = 0; p->reference && r < p->rows; r++)
        text_release(&p->reference[r]);
    text_release(&p->said);
    free(p->answer);
    free(p->reference);
    free(p->ids);
    free(p);
}

/* How many of a row's n ids are its prompt, and where its answer's labels begin.  Where the model shifts,
 * the answer is the last supervised span; else (Whisper) what follows the start and its special tokens. */
static size_t prompt_length(const struct predictor *p, const int32_t *ids, const int32_t *labels, size_t n, size_t *from)
{
    size_t at = 0;
    if (p->model->shift) {
        for (size_t i = 1; i < n; i++)
            if (labels[i] != -100 && labels[i - 1] == -100)
                at = i;
        *from = at;
        return at;
    }
    while (at < n && ids[at] != p->model->start_id)
        at++;
    for (at++; at < n && tokenizer_special(p->tokenizer, ids[at]); )
        at++;
    *from = at ? at - 1 : 0;
    return at < n ? at : n;
}

static int text_of(const struct predictor *p, const int32_t *ids, size_t n, struct text *to, struct error *e)
{
    char why[WHY];
    to->n = 0;
    return decode(p->tokenizer, ids, n, true, to, why) < 0 ? error_set(e, STATUS_BAD, "%s", why) : 0;
}

/* Row r of the batch becomes its prompt, at `to`; its reference is kept. */
static int row_prompt(struct predictor *p, struct batch *b, size_t r, size_t begin, size_t end, size_t to, size_t *n,
                      struct error *e)
{
    int32_t *ids = b->ids + begin, *labels = b->labels + begin;
    size_t from, kept = 0;
    *n = prompt_length(p, ids, labels, end - begin, &from);
    for (size_t i = from; i < end - begin; i++)
        if (labels[i] != -100)
            labels[kept++] = labels[i];
    if (text_of(p, labels, kept, &p->reference[r], e) < 0)
        return -1;
    memmove(b->ids + to, ids, *n * sizeof *ids);
    bool plain = p->generation.rules.no_timestamps < 0;
    for (size_t i = 0; i < *n; i++)
        plain |= b->ids[to + i] == p->generation.rules.no_timestamps;
    p->answer[r] = (struct generate_row){ .timestamps = !plain, .token = p->ids + r * p->model->max_tokens,
                                          .room = p->model->max_tokens };
    return 0;
}

int predict_batch(struct predictor *p, struct batch *b, struct wer_count *count, struct error *e)
{
    char why[WHY];
    size_t to = 0, begin = 0;
    for (size_t r = 0; r < b->rows; r++) {
        size_t n, end = b->start[r + 1];
        if (row_prompt(p, b, r, begin, end, to, &n, e) < 0)
            return -1;
        begin = end;
        to += n;
        b->start[r + 1] = to;
    }
    generator_clear(&p->generator);
    if (generator_run(&p->generator, b, p->answer, p->model->max_tokens, why) < 0)
        return error_set(e, STATUS_AGAIN, "%s", why);
    for (size_t r = 0; r < b->rows; r++) {
        const struct text *want = &p->reference[r];
        if (text_of(p, p->answer[r].token, p->answer[r].n, &p->said, e) < 0)
            return -1;
        if (wer_words(count, want->s ? want->s : "", want->n, p->said.s ? p->said.s : "", p->said.n) < 0)
            return error_memory(e);
    }
    return 0;
}
