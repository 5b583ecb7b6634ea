/* cmd/train-step/setup/setup.h - the model, what of it is trained, its weights */
#ifndef PENSTOCK_TRAIN_SETUP_H
#define PENSTOCK_TRAIN_SETUP_H

#include "cmd/train-step/run/trainer.h"

/* Opens --model, decides what is trained (--freeze, --lora-...), reads all weights. */
int trainer_setup(struct trainer *t, struct error *e);

#endif
