/* cmd/train-step/main.c - samples in, checkpoints of the model trained on them out
 *
 * The trainer at the end of a pipeline.  It reads ready samples (features, token
 * ids, labels), trains what --freeze or --lora-... leave it to train, and writes
 * checkpoints as a stream for ckpt-write.  See trainer.h for its parts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/max_errors.h"
#include "cmd/train-step/predict.h"
#include "cmd/train-step/trainer.h"
#include "kernels/nn/optim/optim.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

/* Of one stream, by its header: epochs x ceil(samples / (batch x accumulation)); 0 it does not say. */
static uint64_t stream_steps(const struct options *o, const struct header *h)
{
    uint64_t epochs = header_epochs(h) ? header_epochs(h) : 1;
    uint64_t group = (uint64_t)o->batch_size * (uint64_t)o->accumulation;
    return epochs * ((header_samples(h) + group - 1) / group);
}

/* Does the rate depend on how many steps there will be? */
static bool wants_total(const struct options *o)
{
    return o->schedule == SCHEDULE_LINEAR || o->schedule == SCHEDULE_COSINE ||
           (o->warmup_ratio > 0 && o->schedule != SCHEDULE_CONSTANT);
}

/* How many steps: asked for, or as the header says; 0 unknown. */
static int steps_count(struct trainer *t, struct error *e)
{
    const struct options *o = t->o;
    t->state.total = o->max_steps ? (uint64_t)o->max_steps : stream_steps(o, stream_in_header(t->source.in));
    if (t->state.total || !wants_total(o))
        return 0;
    return error_set(e, STATUS_BAD, "--lr-scheduler-type %s%s needs to know how many steps there will be, and the "
                                    "stream does not say how many samples it has: give --max-steps N", o->scheduler,
                     o->warmup_ratio > 0 ? " with --warmup-ratio" : "");
}

/* An epoch of so many samples; those used of it are in state.epoch's fraction. */
static void epoch_resume(struct trainer *t, const struct header *h)
{
    double whole;
    t->epoch_samples = header_samples(h);
    t->epoch_used = (uint64_t)llround(modf(t->state.epoch, &whole) * (double)t->epoch_samples);
}

/* Another stream on the same pipe (cat a b): its steps come on top.  A rate that decays has been
 * on its way to the end of the streams before. */
static int stream_follows(void *ctx, const struct header *h, struct error *e)
{
    struct trainer *t = ctx;
    const struct options *o = t->o;
    if (provenance_check(t, h, e) < 0)
        return -1;
    if (!o->max_steps && wants_total(o))
        return error_set(e, STATUS_BAD, "a stream follows the first, and --lr-scheduler-type %s needs to know how "
                                        "many steps all of them are: give --max-steps N", o->scheduler);
    uint64_t more = stream_steps(o, h);
    if (!o->max_steps)
        t->state.total = t->state.total && more ? t->state.total + more : 0;
    if (!t->source.begun)       /* the checkpoint goes on in this one, or behind it */
        epoch_resume(t, h);
    return 0;
}

/* While a batch is computed, the next two come: of small samples all, of large ones what fits. */
static int source_begin(struct trainer *t, struct error *e)
{
    struct stream_tail tail;
    struct ahead_limits ahead = { .samples = 2 * (uint64_t)t->o->batch_size, .bytes = AHEAD_BYTES, .cpus = &t->anywhere };
    remote_tail(t, &tail);
    if (source_open(&t->source, t->o->common.in, &tail, &ahead, e) < 0)
        return -1;
    const struct header *h = stream_in_header(t->source.in);
    if (provenance_check(t, h, e) < 0 || resume_check(t, h, e) < 0 || steps_count(t, e) < 0)
        return -1;
    struct span run = header_run(h);
    t->state.run_size = run.size < RUN_MAX ? run.size : RUN_MAX;
    memcpy(t->state.run, run.data, t->state.run_size);
    source_seek(&t->source, &t->state.cursor);
    t->source.header = stream_follows;
    t->source.ctx = t;
    epoch_resume(t, h);
    return 0;
}

static int output_begin(struct trainer *t, struct error *e)
{
    struct stage stage;
    stage_init(&stage, "train-step");
    stage_put_str(&stage, "model_type", t->model->model_type);
    stage_put_str(&stage, "kernels", kernels_name(t->machine.compute.k));
    t->out = ckpt_out_open(t->o->common.out, span_of(t->state.run, t->state.run_size), &stage, e);
    stage_release(&stage);
    return t->out ? 0 : -1;
}

static int train(struct trainer *t, int *status, struct error *e)
{
    cpus_current(&t->anywhere);         /* before threads are pinned */
    if (remote_check(t->o, e) < 0 || machine_open(&t->machine, t->o->common.threads, t->o->numa_node, e) < 0 ||
        state_init(&t->state, e) < 0 || resume_state(t, e) < 0 || trainer_setup(t, e) < 0)
        return -1;
    int was = remote_was_finished(t, e);
    if (was)                    /* a stream with nothing in it: ckpt-write must not take this for a trainer that died */
        return was < 0 || output_begin(t, e) < 0 || ckpt_put_end(t->out, e) < 0 ? -1 : 0;
    if (resume_weights(t, e) < 0)
        return -1;
    e->status = 0;              /* of what was tried twice, perhaps */
    t->metrics = metrics_open(t->o->common.metrics, e);
    if ((!t->metrics && e->status) || source_begin(t, e) < 0 || plan_make(t, e) < 0)
        return -1;
    if ((t->o->predict && !(t->predictor = predictor_new(t, e))) || output_begin(t, e) < 0)
        return -1;
    int rc = trainer_run(t, status, e);
    struct error closing = { 0 };
    if (!(rc < 0 && t->fatal && e->status == STATUS_AGAIN) && ckpt_put_end(t->out, rc < 0 ? &closing : e) < 0)
        rc = -1;
    return rc;
}

static void trainer_release(struct trainer *t)
{
    source_close(&t->source);
    metrics_close(t->metrics);
    predictor_free(t->predictor);
    collator_release(&t->collator);
    if (t->tape)
        tape_free(t->tape);
    if (t->model) {
        adamw_end(&t->machine.compute, &t->model->params);
        model_free(t->model);
    }
    modeldir_close(&t->dir);
    machine_close(&t->machine);
    state_release(&t->state);
    free(t->resumed);
}

int main(int argc, char **argv)
{
    struct options o;
    struct max_errors allowed;
    options_parse(&o, argc, argv);
    if (!max_errors_parse(o.max_errors, &allowed))
        die(STATUS_BAD, "--max-errors wants a number or a percentage, not '%s'", o.max_errors);
    stop_install();

    struct trainer t = { .o = &o };
    struct error e = { 0 };
    int status = STATUS_OK;
    if (train(&t, &status, &e) < 0) {
        warn("%s", e.text);
        status = e.status;
    } else if (status == STATUS_OK && max_errors_exceeded(&allowed, t.source.failed, t.source.samples)) {
        warn("%llu of %llu records failed, more than --max-errors %s allows", (unsigned long long)t.source.failed,
             (unsigned long long)t.source.samples, o.max_errors);
        status = STATUS_FAILED_RECORDS;
    } else if (status == STATUS_OK && t.source.samples && !t.state.step) {
        warn("none of %llu records could be trained on, and there is no checkpoint", (unsigned long long)t.source.samples);
        status = STATUS_BAD;
    }
    if (ckpt_out_close(t.out, &e) < 0) {
        warn("%s", e.text);
        status = e.status;
    } else if (status <= STATUS_FAILED_RECORDS && remote_finish(&t, &e) < 0) {
        warn("%s", e.text);
        status = e.status;
    }
    trainer_release(&t);
    return status;
}
