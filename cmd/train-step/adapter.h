/* cmd/train-step/adapter.h - adapter_config.json, as PEFT writes it for LoRA */
#ifndef PENSTOCK_TRAIN_ADAPTER_H
#define PENSTOCK_TRAIN_ADAPTER_H

#include "cmd/train-step/trainer.h"

/* A new object, or NULL: out of memory. */
json_t *adapter_config(const struct trainer *t);

#endif
