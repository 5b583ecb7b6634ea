/* cmd/train-step/steps/stream.h - the stream of samples: is it this run's, and how many steps does it promise */
#ifndef PENSTOCK_TRAIN_STREAM_H
#define PENSTOCK_TRAIN_STREAM_H

#include "cmd/train-step/run/trainer.h"

/* Opens --in where the run goes on.  Fills t->state.total, and from then on looks at the headers that follow. */
int stream_begin(struct trainer *t, struct error *e);

#endif
