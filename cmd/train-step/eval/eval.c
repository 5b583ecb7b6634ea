/* cmd/train-step/eval/eval.c - see eval.h */
#include "cmd/train-step/eval/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/train-step/eval/predict.h"
#include "cmd/train-step/setup/provenance.h"
#include "kernels/nn/optim/optim.h"
#include "libcommon/sys/log.h"

struct sums { double sum; uint64_t tokens, samples; struct wer_count words; };

static int batch_loss(struct trainer *t, struct sums *s, struct error *e)
{
    struct loss loss = { 0 };
    char why[WHY];
    size_t rows = t->collator.batch.rows;
    if (!rows)
        return 0;
    if (model_step(t->tape, t->model, &t->collator.batch, TAPE_INFER, 0, &loss, why) < 0)
        return error_set(e, STATUS_AGAIN, "evaluation: %s", why);
    s->sum += loss.sum;
    s->tokens += loss.tokens;
    s->samples += rows;
    if (t->predictor && predict_batch(t->predictor, &t->collator.batch, &s->words, e) < 0)
        return -1;
    batch_clear(&t->collator.batch);
    return 0;
}

/* 1: a signal came, the sums are not those of the whole. */
static int all_batches(struct trainer *t, struct source *source, struct sums *s, struct error *e)
{
    struct sample *sample;
    batch_clear(&t->collator.batch);
    for (;;) {
        enum source_event event = source_next(source, &sample, e);
        if (event == SOURCE_FAILED)
            return -1;
        if (event == SOURCE_STOPPED)
            return 1;
        if (event == SOURCE_END)
            return batch_loss(t, s, e);
        if (event != SOURCE_SAMPLE)
            continue;
        enum collate c = collate_add(&t->collator, sample, source->epoch, e);
        if (c == COLLATE_FATAL)
            return -1;
        if (c == COLLATE_OK && t->collator.batch.rows == t->collator.rows && batch_loss(t, s, e) < 0)
            return -1;
    }
}

int trainer_eval(struct trainer *t, struct error *e)
{
    struct source source;
    struct sums s = { 0 };
    adamw_end(&t->machine.compute, &t->model->params);
    if (source_open(&source, t->o->eval_stream, NULL, NULL, e) < 0)
        return error_prefix(e, "--eval-stream");
    int rc = provenance_check(t, stream_in_header(source.in), e);
    if (rc == 0)
        rc = all_batches(t, &source, &s, e);
    if (rc == 0 && !s.tokens)
        rc = error_set(e, STATUS_BAD, "'%s' holds no supervised token", t->o->eval_stream);
    source_close(&source);
    batch_clear(&t->collator.batch);
    if (rc < 0)
        return error_prefix(e, "--eval-stream");
    if (rc > 0)
        return 0;
    t->eval_loss = s.sum / (double)s.tokens;
    t->evaluated = t->state.step;
    t->eval_wer = wer_rate(&s.words);
    char wer[64] = "";
    if (t->predictor)
        snprintf(wer, sizeof wer, ", WER %.2f %%", 100 * t->eval_wer);
    note("step %llu: eval_loss %.4f (perplexity %.4g)%s over %llu samples", (unsigned long long)t->state.step, t->eval_loss,
         exp(t->eval_loss), wer, (unsigned long long)s.samples);
    return 0;
}

static bool by_wer(const struct trainer *t) { return !strcmp(t->o->metric, "wer"); }

double eval_metric(const struct trainer *t) { return by_wer(t) ? t->eval_wer : t->eval_loss; }

bool eval_stalled(const struct trainer *t)
{
    double best = INFINITY;
    int64_t since = 0;
    size_t i;
    const json_t *line;
    if (!t->o->patience)
        return false;
    json_array_foreach(t->state.log, i, line) {
        const json_t *v = json_object_get(line, by_wer(t) ? "eval_wer" : "eval_loss");
        if (!v)
            continue;
        bool better = json_number_value(v) < best - (isfinite(best) ? t->o->threshold : 0);
        since = better ? 0 : since + 1;
        best = better ? json_number_value(v) : best;
    }
    return since >= t->o->patience;
}
