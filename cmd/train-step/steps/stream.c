/* cmd/train-step/steps/stream.c - see stream.h */
#include "cmd/train-step/steps/stream.h"

#include <math.h>
#include <string.h>

#include "cmd/train-step/ckpt/remote.h"
#include "cmd/train-step/ckpt/resume.h"
#include "cmd/train-step/setup/provenance.h"
#include "cmd/train-step/steps/rate.h"

enum { AHEAD_BYTES = 128 << 20 };       /* of samples read ahead, at most */

/* Of one stream, by its header: epochs x ceil(samples / (batch x accumulation)); 0 it does not say. */
static uint64_t stream_steps(const struct options *o, const struct header *h)
{
    uint64_t epochs = header_epochs(h) ? header_epochs(h) : 1;
    uint64_t group = (uint64_t)o->batch_size * (uint64_t)o->accumulation;
    return epochs * ((header_samples(h) + group - 1) / group);
}

/* How many steps: asked for, or as the header says; 0 unknown. */
static int steps_count(struct trainer *t, struct error *e)
{
    const struct options *o = t->o;
    t->state.total = o->max_steps ? (uint64_t)o->max_steps : stream_steps(o, stream_in_header(t->source.in));
    if (t->state.total || !rate_wants_total(o))
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
    if (!o->max_steps && rate_wants_total(o))
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
int stream_begin(struct trainer *t, struct error *e)
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
