/* cmd/train-step/eval.c - the loss over a recorded stream, by the same forward, without dropout */
#include "cmd/train-step/trainer.h"
#include "libcommon/sys/log.h"

struct sums { double sum; uint64_t tokens, samples; };

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
    if (source_open(&source, t->o->eval_stream, e) < 0)
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
    note("step %llu: eval_loss %.4f over %llu samples", (unsigned long long)t->state.step, t->eval_loss, (unsigned long long)s.samples);
    return 0;
}
