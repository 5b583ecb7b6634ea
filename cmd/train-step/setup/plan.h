/* cmd/train-step/setup/plan.h - the memory of training: all of it made before the first step, and told
 *
 * The arena is made for the longest rows that the model takes; the system gives
 * its pages when they are first touched, so that shorter rows cost less.  Both
 * are told: what rows like those of the first batch take, and the most. */
#ifndef PENSTOCK_TRAIN_PLAN_H
#define PENSTOCK_TRAIN_PLAN_H

#include "cmd/train-step/run/trainer.h"

/* Do gradients lie where the batch's activations did (params.lent)?  Memory of their own is 4 bytes a parameter more,
 * and lets the optimizer's step pass behind the next forward: worth it for rows of text, whose steps are short, where
 * the machine has it; a step of sound is long, and the optimizer little of it. */
bool plan_lends(const struct trainer *t);
/* Takes the memory of all steps, for the longest rows. */
int plan_make(struct trainer *t, struct error *e);
/* Tells what training takes, with the first batch at hand. */
int plan_tell(struct trainer *t, struct error *e);

#endif
