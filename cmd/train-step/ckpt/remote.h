/* cmd/train-step/ckpt/remote.h - training at the end of a ZeroMQ pipeline: where it goes on, and what is durable
 *
 * The head goes on where the newest checkpoint in --resume DEST ends, and may
 * forget units once a checkpoint that used them is complete there: so what
 * ckpt-write has finished is looked for in DEST itself.  On a pipe these do nothing. */
#ifndef PENSTOCK_TRAIN_REMOTE_H
#define PENSTOCK_TRAIN_REMOTE_H

#include "cmd/train-step/run/trainer.h"

/* Do --in, --head and --resume go together? */
int remote_check(const struct options *o, struct error *e);
/* Where the stream goes on, for source_open. */
void remote_tail(const struct trainer *t, struct stream_tail *tail);
void remote_saved(struct trainer *t);           /* a checkpoint has been put */
void remote_look(struct trainer *t);            /* is it complete? now and then */
/* Training is done and its stream of checkpoints closed: until the last one is complete. */
int remote_finish(struct trainer *t, struct error *e);
/* A run that had ended before: whoever still waits is told.  1: so it is. */
int remote_was_finished(struct trainer *t, struct error *e);

#endif
