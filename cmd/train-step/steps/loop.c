/* cmd/train-step/steps/loop.c - see loop.h */
#include "cmd/train-step/steps/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cmd/train-step/ckpt/checkpoint.h"
#include "cmd/train-step/ckpt/remote.h"
#include "cmd/train-step/eval/eval.h"
#include "cmd/train-step/setup/plan.h"
#include "cmd/train-step/steps/rate.h"
#include "cmd/train-step/steps/report.h"
#include "kernels/nn/optim/optim.h"
#include "kernels/nn/random.h"
#include "libcommon/sys/log.h"

struct group {                  /* what one optimizer step is made of */
    double sum;
    uint64_t tokens, samples;
    char first[128];            /* id of its first sample, for messages */
};

/* The next samples that did not fail, up to a full batch (SOURCE_SAMPLE) or to what ends it before. */
static enum source_event batch_fill(struct trainer *t, struct group *g, struct error *e)
{
    struct collator *c = &t->collator;
    struct sample *sample;
    batch_clear(&c->batch);
    while (c->batch.rows < c->rows) {
        uint64_t before = t->source.samples;
        enum source_event event = source_next(&t->source, &sample, e);
        t->epoch_used += t->source.samples - before;
        if (event != SOURCE_SAMPLE)
            return event;
        struct span id = sample_id(sample);
        enum collate rc = collate_add(c, sample, t->source.epoch, e);
        if (rc == COLLATE_FATAL) {
            error_prefix(e, "sample '%.*s'", (int)id.size, (const char *)id.data);
            return SOURCE_FAILED;
        }
        if (rc == COLLATE_BAD) {
            source_reject(&t->source);
            warn("sample '%.*s': %s; passed over", (int)id.size, (const char *)id.data, e->text);
        } else if (!g->samples++) {
            snprintf(g->first, sizeof g->first, "%.*s", (int)id.size, (const char *)id.data);
        }
    }
    return SOURCE_SAMPLE;
}

/* Forward and backward of one step's batches.  SOURCE_SAMPLE: all of them; SOURCE_EPOCH, SOURCE_END:
 * what was left (perhaps nothing); SOURCE_STOPPED, SOURCE_FAILED: gradients are thrown away. */
static enum source_event group_run(struct trainer *t, struct group *g, struct error *e)
{
    enum source_event event = SOURCE_SAMPLE;
    char why[WHY];
    *g = (struct group){ 0 };
    for (int64_t i = 0; event == SOURCE_SAMPLE && i < t->o->accumulation; i++) {
        event = batch_fill(t, g, e);
        if (event == SOURCE_STOPPED || event == SOURCE_FAILED)
            break;
        if (!t->collator.batch.rows)
            continue;
        if (!t->planned && plan_tell(t, e) < 0)
            return SOURCE_FAILED;
        struct loss loss = { 0 };
        uint64_t key = random_key(random_key((uint64_t)t->o->seed, t->state.step), (uint64_t)i);
        if (model_step(t->tape, t->model, &t->collator.batch, TAPE_TRAIN, key, &loss, why) < 0) {
            error_set(e, STATUS_AGAIN, "step %" PRIu64 ", at sample '%s': %s", t->state.step + 1, g->first, why);
            t->fatal = true;
            event = SOURCE_FAILED;
            break;
        }
        g->sum += loss.sum;
        g->tokens += loss.tokens;
    }
    if (event == SOURCE_STOPPED || event == SOURCE_FAILED)
        grads_clear(&t->model->params);
    return event;
}

static int diverged(const struct trainer *t, const struct group *g, const char *what, double value, struct error *e)
{
    char good[64] = "there is no checkpoint yet";
    if (t->saved)
        snprintf(good, sizeof good, "the last good checkpoint is step-%06" PRIu64, t->saved);
    return error_set(e, STATUS_BAD, "%s is %f at step %" PRIu64 ", in the samples from '%s' on; %s", what, value,
                     t->state.step + 1, g->first, good);
}

static int optimize(struct trainer *t, const struct group *g, struct error *e)
{
    const struct options *o = t->o;
    struct params *ps = &t->model->params;
    struct adamw a = { .beta1 = o->beta1, .beta2 = o->beta2, .epsilon = o->epsilon, .weight_decay = o->weight_decay,
                       .max_grad_norm = o->max_grad_norm };
    a.learning_rate = rate_now(t);
    if (!isfinite(g->sum))
        return diverged(t, g, "loss", g->sum, e);
    double norm = 0;
    if (g->tokens)
        norm = adamw_begin(&t->machine.compute, ps, &a, (double)g->tokens);
    else
        grads_clear(ps);            /* nothing supervised in all of them: the step counts, and changes nothing */
    if (!isfinite(norm))
        return diverged(t, g, "the norm of the gradient", norm, e);
    t->last = (struct step_facts){ norm, a.learning_rate };
    return 0;
}

static void advance(struct trainer *t, const struct group *g)
{
    struct train_state *s = &t->state;
    s->step++;
    s->tokens += g->tokens;
    s->cursor = t->source.cursor;
    s->epoch = (double)t->source.epoch + (t->epoch_samples ? (double)t->epoch_used / (double)t->epoch_samples : 0);
    s->tally.sum += g->sum;
    s->tally.tokens += g->tokens;
    s->tally.samples += g->samples;
    s->tally.steps++;
}

/* What is due after a step.  last: no further one comes. */
static int after_step(struct trainer *t, bool last, struct error *e)
{
    const struct options *o = t->o;
    uint64_t step = t->state.step;
    uint64_t eval_every = (uint64_t)(o->eval_steps ? o->eval_steps : o->logging_steps);
    double began = clock_seconds();
    if (o->eval_stream && t->evaluated != step && (last || step % eval_every == 0) && trainer_eval(t, e) < 0)
        return -1;
    report_pause(t, began);
    if (t->report.logged != step && (last || t->evaluated == step || step % (uint64_t)o->logging_steps == 0))
        report_log(t);
    t->stalled = t->evaluated == step && eval_stalled(t);
    last |= t->stalled;
    began = clock_seconds();
    t->state.finished = last;
    remote_look(t);
    if ((last || (o->save_steps && step % (uint64_t)o->save_steps == 0)) && checkpoint_write(t, e) < 0)
        return -1;
    report_pause(t, began);
    return 0;
}

static bool goes_on(enum source_event event) { return event == SOURCE_SAMPLE || event == SOURCE_EPOCH; }

static bool steps_done(const struct trainer *t) { return t->state.total && t->state.step >= t->state.total; }

static void epoch_begin(struct trainer *t)
{
    if (!t->source.begun)       /* of a stream that was used up before this process */
        return;
    t->epoch_used = 0;
    t->epoch_samples = header_samples(stream_in_header(t->source.in));      /* perhaps another stream's */
}

/* The steps that the headers promised are done: the input should end here, or bring another stream (SOURCE_EPOCH). */
static enum source_event drain(struct trainer *t, struct error *e)
{
    struct sample *sample;
    uint64_t unused = 0, promised = t->state.total;
    enum source_event event;
    do {
        event = source_next(&t->source, &sample, e);
        unused += event == SOURCE_SAMPLE;
        if (event == SOURCE_EPOCH)
            epoch_begin(t);
    } while (goes_on(event) && steps_done(t));
    if (unused)
        warn("%" PRIu64 " samples came after the %" PRIu64 " steps that the stream's header promised: not used; "
             "--max-steps sets the number",
             unused, promised);
    return event;
}

/* One step, and the next event of the source. */
static enum source_event one_step(struct trainer *t, struct error *e)
{
    struct group g;
    enum source_event event = group_run(t, &g, e);
    if (event == SOURCE_STOPPED || event == SOURCE_FAILED)
        return event;
    if (g.samples) {
        t->fatal = optimize(t, &g, e) < 0;
        if (t->fatal)
            return SOURCE_FAILED;
        advance(t, &g);
        /* Is it the last?  Only what follows on the pipe can tell; a ZeroMQ head sends no end before the last checkpoint. */
        if (event == SOURCE_SAMPLE && steps_done(t) && !t->o->max_steps && !stream_in_is_endpoint(t->source.in))
            event = drain(t, e);
        bool last = steps_done(t);
        struct error saving = { 0 };
        report_progress(t, last);
        t->fatal = after_step(t, last, event == SOURCE_FAILED ? &saving : e) < 0;
        if (t->fatal) {
            *e = event == SOURCE_FAILED ? saving : *e;
            return SOURCE_FAILED;
        }
    }
    if (event == SOURCE_EPOCH)
        epoch_begin(t);
    return event;
}

/* The samples are used up, or the steps; or a signal, or the stream, ends it before. */
static int finish(struct trainer *t, enum source_event event, struct error *e)
{
    if (t->state.step == t->run_first)
        return 0;
    if (event == SOURCE_END)
        return after_step(t, true, e);
    return checkpoint_write(t, e);
}

int trainer_run(struct trainer *t, int *status, struct error *e)
{
    struct train_state *s = &t->state;
    enum source_event event = SOURCE_SAMPLE;
    report_begin(t);
    t->stalled = eval_stalled(t);
    while (goes_on(event)) {
        if (t->stalled || (steps_done(t) && t->o->max_steps))
            event = SOURCE_END;
        else
            event = steps_done(t) ? drain(t, e) : one_step(t, e);
    }
    if (t->stalled)
        note("stopped early at step %" PRIu64 ": %lld evaluations brought nothing better", s->step,
             (long long)t->o->patience);
    else if (event == SOURCE_END && t->o->max_steps && !steps_done(t))
        note("the samples ended after step %" PRIu64 " of --max-steps %lld: --num-train-epochs of the source repeats them",
             s->step, (long long)t->o->max_steps);
    if (event == SOURCE_FAILED && t->fatal)
        return -1;
    struct error saving = { 0 };
    if (finish(t, event, event == SOURCE_FAILED ? &saving : e) < 0) {
        t->fatal = true;
        return -1;
    }
    if (event == SOURCE_FAILED) /* of the stream: what it gave is saved */
        return -1;
    if (event == SOURCE_STOPPED) {
        *status = STATUS_AGAIN;
        note("stopped by a signal after step %" PRIu64 "%s", s->step, s->step ? ", which is saved" : "");
    }
    return 0;
}
