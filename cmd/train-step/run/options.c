/* cmd/train-step/run/options.c - see options.h */
#include "cmd/shared/cli/local_dir.h"
#include "cmd/train-step/run/options.h"

#include <string.h>

#include "cmd/shared/model/tensor_list.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/log.h"

static const char *const dtypes[] = { "float32", "bfloat16", NULL };
static const char *const layers[] = { "all", "encoder", "decoder", NULL };
static const char *const metrics[] = { "loss", "wer", NULL };

#define MANY 1e15               /* steps, a norm: as good as without a bound */

static struct options set = {
    .batch_size = 8, .accumulation = 1, .learning_rate = 5e-5, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
    .max_grad_norm = 1.0, .scheduler = "linear", .seed = 42, .dtype = "float32", .save_dtype = "float32",
    .mask_time_prob = 0.05, .mask_time_length = 10, .mask_time_min_masks = 2, .mask_feature_length = 10,
    .lora_r = 8, .lora_alpha = 8, .lora_targets = "q_proj,v_proj", .lora_layers = "all",
    .save_steps = 500, .logging_steps = 500, .max_errors = "1%", .metric = "loss", .numa_node = "auto",
};
static bool lora[6];            /* which of --lora-... and --use-rslora were given */

static const struct opt opts[] = {
    { OPT_STRING, .name = "model", .value = &set.model, .arg = "DIR", .help = "model directory to start from" },
    { OPT_STRING, .name = "resume", .value = &set.resume, .arg = "DEST",
      .help = "go on from the newest checkpoint in DEST, if there is one" },
    { OPT_STRING, .name = "head", .value = &set.head, .arg = "ENDPOINT",
      .help = "where the source is, if --in is an endpoint" },
    { OPT_GROUP, .name = "Steps" },
    { OPT_INT, .name = "max-steps", .value = &set.max_steps, .arg = "N", .min = 0, .max = MANY,
      .help = "optimizer steps; 0: as many as the samples give" },
    { OPT_INT, .name = "batch-size", .value = &set.batch_size, .arg = "N", .min = 1, .max = 1 << 20,
      .help = "samples taken at once" },
    { OPT_INT, .name = "gradient-accumulation-steps", .value = &set.accumulation, .arg = "N", .min = 1, .max = 1 << 20,
      .help = "batches to a step" },
    { OPT_REAL, .name = "learning-rate", .value = &set.learning_rate, .arg = "X", .min = 0, .max = 1e6,
      .help = "peak rate" },
    { OPT_CHOICE, .name = "lr-scheduler-type", .value = &set.scheduler, .arg = "TYPE",
      .choices = scheduler_names, .help = "course of the rate" },
    { OPT_STRING, .name = "lr-scheduler-kwargs", .value = &set.scheduler_kwargs, .arg = "JSON",
      .help = "what it takes besides, as transformers names it" },
    { OPT_INT, .name = "warmup-steps", .value = &set.warmup_steps, .arg = "N", .min = 0, .max = MANY,
      .help = "steps of linear rise from 0" },
    { OPT_REAL, .name = "warmup-ratio", .value = &set.warmup_ratio, .arg = "X", .min = 0, .max = 1,
      .help = "or this share of all steps" },
    { OPT_REAL, .name = "weight-decay", .value = &set.weight_decay, .arg = "X", .min = 0, .max = 1e6,
      .help = "AdamW's; not of biases and norms" },
    { OPT_REAL, .name = "adam-beta1", .value = &set.beta1, .arg = "X", .min = 0, .max = 0.9999999,
      .help = "decay of the first moment" },
    { OPT_REAL, .name = "adam-beta2", .value = &set.beta2, .arg = "X", .min = 0, .max = 0.99999999,
      .help = "decay of the second" },
    { OPT_REAL, .name = "adam-epsilon", .value = &set.epsilon, .arg = "X", .min = 0, .max = 1,
      .help = "added to the divisor" },
    { OPT_REAL, .name = "max-grad-norm", .value = &set.max_grad_norm, .arg = "X", .min = 0, .max = MANY,
      .help = "clip the gradient to this norm; 0: do not" },
    { OPT_REAL, .name = "label-smoothing-factor", .value = &set.label_smoothing, .arg = "X", .min = 0, .max = 0.999,
      .help = "share of the target spread over all ids" },
    { OPT_INT, .name = "seed", .value = &set.seed, .arg = "N", .min = 0, .max = MANY, .help = "of all randomness" },
    { OPT_CHOICE, .name = "dtype", .value = &set.dtype, .arg = "TYPE", .choices = dtypes,
      .help = "of products; sums and weights are float32" },
    { OPT_FLAG, .name = "gradient-checkpointing", .value = &set.gradient_checkpointing,
      .help = "compute layers twice, for less memory" },
    { OPT_GROUP, .name = "SpecAugment, in place of what config.json says" },
    { OPT_REAL, .name = "mask-time-prob", .value = &set.mask_time_prob, .arg = "P", .min = 0, .max = 1,
      .given = &set.mask_given[0], .help = "share of time in masked spans" },
    { OPT_INT, .name = "mask-time-length", .value = &set.mask_time_length, .arg = "N", .min = 1, .max = 1 << 20,
      .given = &set.mask_given[1], .help = "frames of a span" },
    { OPT_INT, .name = "mask-time-min-masks", .value = &set.mask_time_min_masks, .arg = "N", .min = 0,
      .max = 1 << 20, .given = &set.mask_given[2], .help = "spans at least" },
    { OPT_REAL, .name = "mask-feature-prob", .value = &set.mask_feature_prob, .arg = "P", .min = 0, .max = 1,
      .given = &set.mask_given[3], .help = "share of bands" },
    { OPT_INT, .name = "mask-feature-length", .value = &set.mask_feature_length, .arg = "N", .min = 1,
      .max = 1 << 20, .given = &set.mask_given[4], .help = "bands of a span" },
    { OPT_INT, .name = "mask-feature-min-masks", .value = &set.mask_feature_min_masks, .arg = "N", .min = 0,
      .max = 1 << 20, .given = &set.mask_given[5], .help = "spans at least" },
    { OPT_GROUP, .name = "What is trained" },
    { OPT_STRING, .name = "freeze", .value = &set.freeze, .arg = "PATTERN", .help = "tensors to leave as they are" },
    { OPT_INT, .name = "lora-r", .value = &set.lora_r, .arg = "N", .min = 1, .max = 65536, .given = &lora[0],
      .help = "train an adapter of this rank" },
    { OPT_REAL, .name = "lora-alpha", .value = &set.lora_alpha, .arg = "X", .min = 0, .max = 1e6, .given = &lora[1],
      .help = "its scale is alpha / r" },
    { OPT_REAL, .name = "lora-dropout", .value = &set.lora_dropout, .arg = "X", .min = 0, .max = 0.999,
      .given = &lora[2], .help = "of its input" },
    { OPT_STRING, .name = "lora-target-modules", .value = &set.lora_targets, .arg = "PATTERN", .given = &lora[3],
      .help = "where it goes" },
    { OPT_CHOICE, .name = "lora-layers", .value = &set.lora_layers, .arg = "PART", .choices = layers, .given = &lora[4],
      .help = "and in which part" },
    { OPT_FLAG, .name = "use-rslora", .value = &set.lora_rslora, .given = &lora[5], .help = "scale alpha / sqrt(r)" },
    { OPT_GROUP, .name = "What is written" },
    { OPT_INT, .name = "save-steps", .value = &set.save_steps, .arg = "N", .min = 0, .max = MANY,
      .help = "steps from checkpoint to checkpoint; 0: only the last" },
    { OPT_INT, .name = "logging-steps", .value = &set.logging_steps, .arg = "N", .min = 1, .max = MANY,
      .help = "steps from line to line of --metrics" },
    { OPT_CHOICE, .name = "save-dtype", .value = &set.save_dtype, .arg = "TYPE", .choices = dtype_names,
      .help = "of the saved weights" },
    { OPT_STRING, .name = "eval-stream", .value = &set.eval_stream, .arg = "FILE",
      .help = "a recorded stream to evaluate on" },
    { OPT_INT, .name = "eval-steps", .value = &set.eval_steps, .arg = "N", .min = 0, .max = MANY,
      .help = "steps between; 0: as --logging-steps" },
    { OPT_FLAG, .name = "predict-with-generate", .value = &set.predict,
      .help = "also the word error rate of greedy answers" },
    { OPT_CHOICE, .name = "metric-for-best-model", .value = &set.metric, .arg = "WHAT", .choices = metrics,
      .help = "what the best checkpoint has least of" },
    { OPT_INT, .name = "early-stopping-patience", .value = &set.patience, .arg = "N", .min = 0, .max = MANY,
      .help = "stop after so many evaluations without a better one" },
    { OPT_REAL, .name = "early-stopping-threshold", .value = &set.threshold, .arg = "X", .min = 0, .max = MANY,
      .help = "by how much better is better" },
    { OPT_GROUP, .name = "Machine and data" },
    { OPT_STRING, .name = "max-errors", .value = &set.max_errors, .arg = "N|P%",
      .help = "failed records that are still status 0" },
    { OPT_STRING, .name = "numa-node", .value = &set.numa_node, .arg = "auto|N|none",
      .help = "where threads and memory are kept" },
    { .name = NULL },
};

const char *mask_key(size_t i)
{
    static const char *const keys[MASKS] = { "mask_time_prob", "mask_time_length", "mask_time_min_masks",
                                             "mask_feature_prob", "mask_feature_length", "mask_feature_min_masks" };
    return keys[i];
}

json_t *mask_json(const struct options *o, size_t i)
{
    const double values[MASKS] = { o->mask_time_prob, (double)o->mask_time_length, (double)o->mask_time_min_masks,
                                   o->mask_feature_prob, (double)o->mask_feature_length, (double)o->mask_feature_min_masks };
    return !o->mask_given[i] ? json_null() : i % 3 ? json_integer((json_int_t)values[i]) : json_real(values[i]);
}

static void check(struct options *o)
{
    if (!o->model)
        die(STATUS_BAD, "--model DIR is missing: the model directory to start from");
    if (o->resume && !*o->resume)
        die(STATUS_BAD, "--resume '' names no DEST: training would start anew each time");
    if (o->lora && o->freeze)
        die(STATUS_BAD, "--freeze and --lora-... exclude each other: an adapter trains nothing but itself; "
                        "--lora-layers chooses where");
    if (o->eval_stream && !strcmp(o->eval_stream, "-") && (!o->common.in || !strcmp(o->common.in, "-")))
        die(STATUS_BAD, "--eval-stream - would read the samples to train on: name a file that record or > made");
    if (o->eval_steps && !o->eval_stream)
        die(STATUS_BAD, "--eval-steps needs --eval-stream FILE: a recorded stream to evaluate on");
    if ((o->predict || o->patience) && !o->eval_stream)
        die(STATUS_BAD, "--%s needs --eval-stream FILE", o->predict ? "predict-with-generate" : "early-stopping-patience");
    if (!strcmp(o->metric, "wer") && !o->predict)
        die(STATUS_BAD, "--metric-for-best-model wer needs --predict-with-generate");
    if (o->warmup_steps && o->warmup_ratio > 0)
        die(STATUS_BAD, "--warmup-steps and --warmup-ratio exclude each other");
    if (!strcmp(o->scheduler, "constant") && (o->warmup_steps || o->warmup_ratio > 0))
        warn("a warm-up is not used by --lr-scheduler-type constant, as in transformers; constant_with_warmup uses it");
    struct error e;
    if (scheduler_read(&o->schedule, o->scheduler, o->scheduler_kwargs, o->learning_rate, &o->scheduler_json, &e) < 0)
        die(e.status, "%s", e.text);
}

void options_parse(struct options *o, int argc, char **argv)
{
    const struct program program = {
        .name = "train-step", .opts = opts,
        .summary = "samples in, checkpoints of the model trained on them out",
    };
    opt_parse(&program, &set.common, OPT_THREADS, argc, argv);
    *o = set;
    o->model = local_dir(o->model);
    for (size_t i = 0; i < sizeof lora / sizeof *lora; i++)
        o->lora |= lora[i];
    check(o);
}
