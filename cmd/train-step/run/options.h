/* cmd/train-step/run/options.h - the trainer's options, named and defaulted as Hugging Face's */
#ifndef PENSTOCK_TRAIN_OPTIONS_H
#define PENSTOCK_TRAIN_OPTIONS_H

#include <jansson.h>

#include "cmd/train-step/run/scheduler.h"
#include "libcommon/cli/opt.h"

enum { MASKS = 6 };             /* SpecAugment's settings */

struct options {
    struct common common;
    const char *head;           /* endpoint of the source, if the input is an endpoint */
    const char *model, *resume;

    int64_t max_steps, batch_size, accumulation;
    double learning_rate, weight_decay, beta1, beta2, epsilon, max_grad_norm;
    const char *scheduler, *scheduler_kwargs;
    struct schedule schedule;   /* of both */
    json_t *scheduler_json;     /* of the second; NULL: none */
    int64_t warmup_steps;
    double warmup_ratio;        /* of all steps, where warmup_steps is 0 */
    double label_smoothing;
    int64_t seed;
    const char *dtype, *save_dtype;
    bool gradient_checkpointing;

    double mask_time_prob, mask_feature_prob;
    int64_t mask_time_length, mask_time_min_masks, mask_feature_length, mask_feature_min_masks;
    bool mask_given[MASKS];     /* in the order of the options; mask_key names them */

    const char *freeze;
    bool lora;                  /* any of them was given */
    int64_t lora_r;
    double lora_alpha, lora_dropout;
    const char *lora_targets, *lora_layers;
    bool lora_rslora;

    int64_t save_steps, logging_steps, eval_steps;
    const char *eval_stream;
    bool predict;               /* --predict-with-generate */
    const char *metric;         /* that the best checkpoint has least of: "loss" or "wer" */
    int64_t patience;           /* evaluations without a better one; 0: any number */
    double threshold;           /* by how much better is better */

    const char *max_errors;     /* N or P% */
    const char *numa_node;      /* auto, none, or a number */
};

/* SpecAugment's settings as config.json names them, in the order of mask_given: a number, or null where it was not given. */
const char *mask_key(size_t i);
json_t *mask_json(const struct options *o, size_t i);

/* Parses, checks what one option says of another; leaves with status 100 on misuse. */
void options_parse(struct options *o, int argc, char **argv);

#endif
