/* cmd/shared/model/adapter.h - an adapter as PEFT keeps it, put onto its base
 *
 * What it goes to is told by its tensors, whatever chose them (target_modules, exclude_modules,
 * layers_to_transform, ...): a pair lora_A, lora_B is a linear layer's; a tensor with a name of
 * the base (modules_to_save, bias) stands in that one's place.  Rank and alpha are the
 * configuration's (r, rank_pattern, lora_alpha, alpha_pattern, use_rslora). */
#ifndef PENSTOCK_MODEL_ADAPTER_H
#define PENSTOCK_MODEL_ADAPTER_H

#include "cmd/shared/model/weights.h"
#include "kernels/models/model.h"

/* An adapter of a kind that is not known here is an error. */
int adapter_check(const struct modeldir *dir, struct error *e);
/* Gives each linear weight its pair, without values yet; freezes nothing. */
int adapter_attach(const struct modeldir *dir, struct params *ps, struct error *e);
/* Values of the pairs, and of what takes the place of the base's, which must have its values by then.
 * Some stay in dir's map. */
int adapter_weights(const struct modeldir *dir, struct model *m, struct error *e);

#endif
