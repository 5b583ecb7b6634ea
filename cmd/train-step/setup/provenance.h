/* cmd/train-step/setup/provenance.h - refusing samples that were made for another model
 *
 * A stream's header says with which settings each stage made it; those that the
 * model's own files fix must be the same.  A stage that is not in the header
 * (features from elsewhere) is not asked. */
#ifndef PENSTOCK_TRAIN_PROVENANCE_H
#define PENSTOCK_TRAIN_PROVENANCE_H

#include "cmd/train-step/run/trainer.h"

/* Was the stream made for this model?  The error names the setting that differs. */
int provenance_check(const struct trainer *t, const struct header *h, struct error *e);

#endif
