/* cmd/train-step/trainer.h - all that one run of training holds, and its parts
 *
 * One file a part: setup.c (model, adapters, weights), plan.c (memory), resume.c (from a
 * checkpoint), loop.c (steps), checkpoint.c (writing), eval.c, report.c.
 * Nothing is allocated for computation after the first step. */
#ifndef PENSTOCK_TRAINER_H
#define PENSTOCK_TRAINER_H

#include "cmd/shared/machine.h"
#include "cmd/shared/model_load.h"
#include "cmd/train-step/collate.h"
#include "cmd/train-step/options.h"
#include "cmd/train-step/source.h"
#include "cmd/train-step/state.h"
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

enum { AHEAD_BYTES = 128 << 20 };       /* of samples read ahead, at most */

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

/* --- setup.c: opens the model, decides what is trained, reads all weights --------- */
int trainer_setup(struct trainer *t, struct error *e);

/* --- plan.c -------------------------------------------------------------------------- */
/* Do gradients lie where the batch's activations did (params.lent)?  Memory of their own is 4 bytes a parameter more,
 * and lets the optimizer's step pass behind the next forward: worth it for rows of text, whose steps are short, where
 * the machine has it; a step of sound is long, and the optimizer little of it. */
bool plan_lends(const struct trainer *t);
/* Takes the memory of all steps, for the longest rows. */
int plan_make(struct trainer *t, struct error *e);
/* Tells what training takes, with the first batch at hand. */
int plan_tell(struct trainer *t, struct error *e);

/* --- remote.c: at the end of a ZeroMQ pipeline (on a pipe they do nothing) ----------- */
int remote_check(const struct options *o, struct error *e);
void remote_tail(const struct trainer *t, struct stream_tail *tail);
void remote_saved(struct trainer *t);           /* a checkpoint has been put */
void remote_look(struct trainer *t);            /* is it complete? now and then */
int remote_finish(struct trainer *t, struct error *e);
int remote_was_finished(struct trainer *t, struct error *e);

/* --- resume.c ----------------------------------------------------------------------- */
/* Looks for a checkpoint and reads its state; no checkpoint is fine. */
int resume_state(struct trainer *t, struct error *e);
/* Trained weights and moments, over what trainer_setup read. */
int resume_weights(struct trainer *t, struct error *e);
/* Is the stream the one that the checkpoint was trained on? */
int resume_check(const struct trainer *t, const struct header *h, struct error *e);

/* --- provenance.c: was the stream made for this model? --------------------------------- */
int provenance_check(const struct trainer *t, const struct header *h, struct error *e);

/* --- loop.c --------------------------------------------------------------------------- */
/* Trains to the end and writes the last checkpoint; *status is the exit status if nothing failed. */
int trainer_run(struct trainer *t, int *status, struct error *e);

/* --- checkpoint.c ------------------------------------------------------------------------ */
/* The state after the last step, unless that is written already. */
int checkpoint_write(struct trainer *t, struct error *e);

/* --- eval.c ---------------------------------------------------------------------------- */
/* Mean loss (and errors) over --eval-stream into t->eval_loss (and t->eval_wer). */
int trainer_eval(struct trainer *t, struct error *e);
/* What --metric-for-best-model names, of the last evaluation. */
double eval_metric(const struct trainer *t);
/* Have the last --early-stopping-patience evaluations of the log brought nothing better? */
bool eval_stalled(const struct trainer *t);

/* --- report.c --------------------------------------------------------------------------- */
void report_begin(struct trainer *t);
/* After each step. */
void report_progress(const struct trainer *t, bool final);
/* A line of metrics, and of log_history; begins the next. */
void report_log(struct trainer *t);
/* What was done since the clock stood at `since` was no step. */
void report_pause(struct trainer *t, double since);

#endif
