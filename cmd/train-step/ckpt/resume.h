/* cmd/train-step/ckpt/resume.h - going on from a checkpoint, to the same bits */
#ifndef PENSTOCK_TRAIN_RESUME_H
#define PENSTOCK_TRAIN_RESUME_H

#include "cmd/train-step/run/trainer.h"

/* Looks for a checkpoint and reads its state; no checkpoint is fine. */
int resume_state(struct trainer *t, struct error *e);
/* Trained weights and moments, over what trainer_setup read. */
int resume_weights(struct trainer *t, struct error *e);
/* Is the stream the one that the checkpoint was trained on? */
int resume_check(const struct trainer *t, const struct header *h, struct error *e);

#endif
