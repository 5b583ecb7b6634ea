/* cmd/train-step/setup/adapter.h - adapters: adapter_config.json, as PEFT writes it for LoRA, and the base they stand on */
#ifndef PENSTOCK_TRAIN_ADAPTER_H
#define PENSTOCK_TRAIN_ADAPTER_H

#include "cmd/train-step/run/trainer.h"

/* A new object, or NULL: out of memory. */
json_t *adapter_config(const struct trainer *t);
/* A checkpoint holds the adapter alone: on other weights it would be another model.  Their checksum goes into
 * the state of a new run; of a resumed one it must be the same. */
int adapter_base(struct trainer *t, struct error *e);

#endif
