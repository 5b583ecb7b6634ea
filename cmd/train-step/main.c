/* cmd/train-step/main.c - samples in, checkpoints of the model trained on them out
 *
 * The trainer at the end of a pipeline.  It reads ready samples (features, token
 * ids, labels), trains what --freeze or --lora-... leave it to train, and writes
 * checkpoints as a stream for ckpt-write.
 *
 * Its rooms, each of which includes only itself and those before: data (samples into
 * batches), run (options, state, and trainer.h, which holds it all), setup (model,
 * adapters, memory, whether the stream fits), eval, ckpt (writing and resuming), steps. */
#include <stdlib.h>

#include "cmd/shared/cli/max_errors.h"
#include "cmd/train-step/ckpt/remote.h"
#include "cmd/train-step/ckpt/resume.h"
#include "cmd/train-step/eval/predict.h"
#include "cmd/train-step/setup/plan.h"
#include "cmd/train-step/setup/setup.h"
#include "cmd/train-step/steps/loop.h"
#include "cmd/train-step/steps/stream.h"
#include "kernels/nn/optim/optim.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

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
    if ((!t->metrics && e->status) || stream_begin(t, e) < 0 || plan_make(t, e) < 0)
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
