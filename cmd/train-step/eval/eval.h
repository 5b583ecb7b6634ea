/* cmd/train-step/eval/eval.h - the loss over a recorded stream, by the same forward, without dropout */
#ifndef PENSTOCK_TRAIN_EVAL_H
#define PENSTOCK_TRAIN_EVAL_H

#include "cmd/train-step/run/trainer.h"

/* Mean loss (and errors) over --eval-stream into t->eval_loss (and t->eval_wer). */
int trainer_eval(struct trainer *t, struct error *e);
/* What --metric-for-best-model names, of the last evaluation. */
double eval_metric(const struct trainer *t);
/* Have the last --early-stopping-patience evaluations of the log brought nothing better?  From the log alone, which
 * a checkpoint carries: resumed or not, training stops at the same step. */
bool eval_stalled(const struct trainer *t);

#endif
