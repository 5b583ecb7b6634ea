/* cmd/train-step/options.c - see options.h */
#include "cmd/shared/local_dir.h"
#include "cmd/train-step/options.h"

#include <string.h>

#include "cmd/shared/tensor_list.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/log.h"

static const char *const schedulers[] = { "linear", "cosine", "constant", "constant_with_warmup", NULL };
static const char *const dtypes[] = { "float32", "bfloat16", NULL };
static const char *const layers[] = { "all", "encoder", "decoder", NULL };
static const char *const metrics[] = { "loss", "wer", NULL };

static void check(struct options *o)
{
    if (!o->model)
        die(STATUS_BAD, "--model DIR is missing: the model directory to start from");
    if (o->lora && o->freeze)
        die(STATUS_BAD, "--freeze and --lora-... exclude each other: an adapter trains nothing but itself; --lora-layers chooses where");
    if (o->eval_steps && !o->eval_stream)
        die(STATUS_BAD, "--eval-steps needs --eval-stream FILE: a recorded stream to evaluate on");
    if ((o->predict || o->patience) && !o->eval_stream)
        die(STATUS_BAD, "--%s needs --eval-stream FILE", o->predict ? "predict-with-generate" : "early-stopping-patience");
    if (!strcmp(o->metric, "wer") && !o->predict)
        die(STATUS_BAD, "--metric-for-best-model wer needs --predict-with-generate");
    if (!strcmp(o->scheduler, "constant") && o->warmup_steps)
        warn("--warmup-steps is not used by --lr-scheduler-type constant, as in transformers; constant_with_warmup uses it");
    for (int i = 0; schedulers[i]; i++)
        if (!strcmp(o->scheduler, schedulers[i]))
            o->schedule = (enum schedule)i;
}

void options_parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){
        .batch_size = 8, .accumulation = 1, .learning_rate = 5e-5, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
        .max_grad_norm = 1.0, .scheduler = "linear", .seed = 42, .dtype = "float32", .save_dtype = "float32",
        .mask_time_prob = 0.05, .mask_time_length = 10, .mask_time_min_masks = 2, .mask_feature_length = 10,
        .lora_r = 8, .lora_alpha = 8, .lora_targets = "q_proj,v_proj", .lora_layers = "all",
        .save_steps = 500, .logging_steps = 500, .max_errors = "1%", .metric = "loss", .numa_node = "auto",
    };
    bool lora[6] = { false };
    const double big = 1e15;
    const struct opt opts[] = {
        { OPT_STRING, 0, "model", &o->model, "DIR", "model directory to start from", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "resume", &o->resume, "DEST", "go on from the newest checkpoint in DEST, if there is one", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "head", &o->head, "ENDPOINT", "where the source is, if --in is an endpoint", 0, 0, NULL, NULL },
        { OPT_GROUP, 0, "Steps", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_INT, 0, "max-steps", &o->max_steps, "N", "optimizer steps; 0: as many as the samples give", 0, big, NULL, NULL },
        { OPT_INT, 0, "batch-size", &o->batch_size, "N", "samples taken at once", 1, 1 << 20, NULL, NULL },
        { OPT_INT, 0, "gradient-accumulation-steps", &o->accumulation, "N", "batches to a step", 1, 1 << 20, NULL, NULL },
        { OPT_REAL, 0, "learning-rate", &o->learning_rate, "X", "peak rate", 0, 1e6, NULL, NULL },
        { OPT_CHOICE, 0, "lr-scheduler-type", &o->scheduler, "TYPE", "course of the rate", 0, 0, schedulers, NULL },
        { OPT_INT, 0, "warmup-steps", &o->warmup_steps, "N", "steps of linear rise from 0", 0, big, NULL, NULL },
        { OPT_REAL, 0, "weight-decay", &o->weight_decay, "X", "AdamW's; not of biases and norms", 0, 1e6, NULL, NULL },
        { OPT_REAL, 0, "adam-beta1", &o->beta1, "X", "decay of the first moment", 0, 0.9999999, NULL, NULL },
        { OPT_REAL, 0, "adam-beta2", &o->beta2, "X", "decay of the second", 0, 0.99999999, NULL, NULL },
        { OPT_REAL, 0, "adam-epsilon", &o->epsilon, "X", "added to the divisor", 0, 1, NULL, NULL },
        { OPT_REAL, 0, "max-grad-norm", &o->max_grad_norm, "X", "clip the gradient to this norm; 0: do not", 0, big, NULL, NULL },
        { OPT_REAL, 0, "label-smoothing-factor", &o->label_smoothing, "X", "share of the target spread over all ids", 0, 0.999, NULL, NULL },
        { OPT_INT, 0, "seed", &o->seed, "N", "of all randomness", 0, big, NULL, NULL },
        { OPT_CHOICE, 0, "dtype", &o->dtype, "TYPE", "of products; sums and weights are float32", 0, 0, dtypes, NULL },
        { OPT_FLAG, 0, "gradient-checkpointing", &o->gradient_checkpointing, NULL, "compute layers twice, for less memory", 0, 0, NULL, NULL },
        { OPT_GROUP, 0, "SpecAugment, in place of what config.json says", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_REAL, 0, "mask-time-prob", &o->mask_time_prob, "P", "share of time in masked spans", 0, 1, NULL, &o->mask_given[0] },
        { OPT_INT, 0, "mask-time-length", &o->mask_time_length, "N", "frames of a span", 1, 1 << 20, NULL, &o->mask_given[1] },
        { OPT_INT, 0, "mask-time-min-masks", &o->mask_time_min_masks, "N", "spans at least", 0, 1 << 20, NULL, &o->mask_given[2] },
        { OPT_REAL, 0, "mask-feature-prob", &o->mask_feature_prob, "P", "share of bands", 0, 1, NULL, &o->mask_given[3] },
        { OPT_INT, 0, "mask-feature-length", &o->mask_feature_length, "N", "bands of a span", 1, 1 << 20, NULL, &o->mask_given[4] },
        { OPT_INT, 0, "mask-feature-min-masks", &o->mask_feature_min_masks, "N", "spans at least", 0, 1 << 20, NULL, &o->mask_given[5] },
        { OPT_GROUP, 0, "What is trained", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_STRING, 0, "freeze", &o->freeze, "PATTERN", "tensors to leave as they are", 0, 0, NULL, NULL },
        { OPT_INT, 0, "lora-r", &o->lora_r, "N", "train an adapter of this rank", 1, 65536, NULL, &lora[0] },
        { OPT_REAL, 0, "lora-alpha", &o->lora_alpha, "X", "its scale is alpha / r", 0, 1e6, NULL, &lora[1] },
        { OPT_REAL, 0, "lora-dropout", &o->lora_dropout, "X", "of its input", 0, 0.999, NULL, &lora[2] },
        { OPT_STRING, 0, "lora-target-modules", &o->lora_targets, "PATTERN", "where it goes", 0, 0, NULL, &lora[3] },
        { OPT_CHOICE, 0, "lora-layers", &o->lora_layers, "PART", "and in which part", 0, 0, layers, &lora[4] },
        { OPT_FLAG, 0, "use-rslora", &o->lora_rslora, NULL, "scale alpha / sqrt(r)", 0, 0, NULL, &lora[5] },
        { OPT_GROUP, 0, "What is written", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_INT, 0, "save-steps", &o->save_steps, "N", "steps from checkpoint to checkpoint; 0: only the last", 0, big, NULL, NULL },
        { OPT_CHOICE, 0, "save-dtype", &o->save_dtype, "TYPE", "of the saved weights", 0, 0, dtype_names, NULL },
        { OPT_INT, 0, "logging-steps", &o->logging_steps, "N", "steps from line to line of --metrics", 1, big, NULL, NULL },
        { OPT_STRING, 0, "eval-stream", &o->eval_stream, "FILE", "a recorded stream to evaluate on", 0, 0, NULL, NULL },
        { OPT_INT, 0, "eval-steps", &o->eval_steps, "N", "steps between; 0: as --logging-steps", 0, big, NULL, NULL },
        { OPT_FLAG, 0, "predict-with-generate", &o->predict, NULL, "also the word error rate of greedy answers", 0, 0, NULL, NULL },
        { OPT_CHOICE, 0, "metric-for-best-model", &o->metric, "WHAT", "what the best checkpoint has least of", 0, 0, metrics, NULL },
        { OPT_INT, 0, "early-stopping-patience", &o->patience, "N", "stop after so many evaluations without a better one", 0, big, NULL, NULL },
        { OPT_REAL, 0, "early-stopping-threshold", &o->threshold, "X", "by how much better is better", 0, big, NULL, NULL },
        { OPT_GROUP, 0, "Machine and data", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_STRING, 0, "max-errors", &o->max_errors, "N|P%", "failed records that are still status 0", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "numa-node", &o->numa_node, "auto|N|none", "where threads and memory are kept", 0, 0, NULL, NULL },
        { .name = NULL },
    };
    const struct program program = { "train-step", NULL, 0, 0, "samples in, checkpoints of the model trained on them out", opts };
    opt_parse(&program, &o->common, OPT_THREADS, argc, argv);
    o->model = local_dir(o->model);
    for (size_t i = 0; i < sizeof lora / sizeof *lora; i++)
        o->lora |= lora[i];
    check(o);
}
