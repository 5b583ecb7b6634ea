/* cmd/train-step/steps/loop.h - optimizer steps, until the samples or the steps are used up
 *
 * A step: up to --gradient-accumulation-steps batches of up to --batch-size
 * samples, all of one epoch; the loss is summed over their supervised tokens and
 * divided by their number.  Then a line of metrics, an evaluation, a checkpoint,
 * where one is due. */
#ifndef PENSTOCK_TRAIN_LOOP_H
#define PENSTOCK_TRAIN_LOOP_H

#include "cmd/train-step/run/trainer.h"

/* Trains to the end and writes the last checkpoint; *status is the exit status if nothing failed. */
int trainer_run(struct trainer *t, int *status, struct error *e);

#endif
