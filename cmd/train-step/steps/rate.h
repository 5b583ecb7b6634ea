/* cmd/train-step/steps/rate.h - the learning rate of each step */
#ifndef PENSTOCK_TRAIN_RATE_H
#define PENSTOCK_TRAIN_RATE_H

#include "cmd/train-step/run/trainer.h"

/* Of the step that comes next. */
double rate_now(const struct trainer *t);
/* Does it depend on how many steps there will be? */
bool rate_wants_total(const struct options *o);

#endif
