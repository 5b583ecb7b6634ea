/* cmd/train-step/run/trainer.h - all that one run of training holds
 *
 * The rooms that work on it: setup, eval, ckpt, steps (see main.c).  Nothing is
 * allocated for computation after the first step. */
#ifndef PENSTOCK_TRAINER_H
#define PENSTOCK_TRAINER_H

#include "cmd/shared/cli/machine.h"
#include "cmd/shared/model/load.h"
#include "cmd/train-step/data/collate.h"
#include "cmd/train-step/data/source.h"
#include "cmd/train-step/run/options.h"
#include "cmd/train-step/run/state.h"
#include "kernels/nn/param/lora.h"
#include "libcommon/ckpt/ckpt.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/sys/clock.h"

struct step_facts {             /* of the last optimizer step */
    double grad_norm, learning_rate;
};

struct report {
    double began, waited;       /* clocks at the last line of metrics, moved on by what is no step (evaluating, saving) */
    uint64_t first;             /* step after which `began` was taken */
    uint64_t logged;            /* step of that line */
};

struct trainer {
    const struct options *o;
    struct cpus anywhere;       /* where threads that do not compute may run */
    struct machine machine;
    struct modeldir dir;        /* --model */
    char *resumed;              /* directory of the checkpoint that was resumed, or NULL */
    struct model *model;
    struct lora_options lora;
    struct tape *tape;
    struct tape_plan plan;      /* of the longest rows */
    size_t longest;             /* tokens that they have */
    bool planned;               /* and told */
    struct collator collator;
    struct source source;
    struct ckpt_out *out;
    struct metrics *metrics;
    struct train_state state;
    uint64_t saved;             /* step of the last checkpoint, written or resumed; 0 none */
    uint64_t evaluated;         /* step of the last evaluation */
    double eval_loss, eval_wer; /* what it gave */
    struct predictor *predictor;        /* NULL unless --predict-with-generate */
    uint64_t epoch_samples;     /* of an epoch, failed ones too; 0 unknown */
    uint64_t epoch_used;        /* of this epoch */
    bool stalled;               /* --early-stopping-patience is used up */
    struct { uint64_t step, next; double looked; } durable;     /* written, not seen complete yet (step 0: none) */
    bool fatal;                 /* a failure after which nothing more is written */
    struct step_facts last;
    struct report report;
    double run_began;           /* clock */
    uint64_t run_first;         /* step that this process began after */
};

#endif
