/* cmd/train-step/ckpt/checkpoint.h - writing a checkpoint: a directory's files onto the checkpoint stream */
#ifndef PENSTOCK_TRAIN_CHECKPOINT_H
#define PENSTOCK_TRAIN_CHECKPOINT_H

#include "cmd/train-step/run/trainer.h"

/* The state after the last step, unless that is written already. */
int checkpoint_write(struct trainer *t, struct error *e);

#endif
