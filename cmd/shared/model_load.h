/* cmd/shared/model_load.h - a model's parameters from its directory
 *
 * Joins libcommon/format/modeldir (names, shapes, bytes) and kernels/models
 * (what they mean) for every program that takes --model. */
#ifndef PENSTOCK_MODEL_LOAD_H
#define PENSTOCK_MODEL_LOAD_H

#include "kernels/models/model.h"
#include "kernels/nn/lora.h"
#include "libcommon/format/modeldir.h"

/* The model that the directory's config.json describes, without weights. */
struct model *model_from_config(const struct modeldir *dir, struct error *e);

/* Values for all parameters but adapters.  float32 tensors of parameters that are
 * not trained stay in the map (so `dir` must outlive ps); all others get memory and
 * are widened to float32; with `training` also gradients and moments.  An absent
 * buffer (Whisper's sinusoids) is computed.  An absent or wrong tensor is an error. */
int params_from_dir(struct params *ps, const struct modeldir *dir, bool training, struct error *e);

/* Values for the adapters, from an adapter's directory. */
int adapters_from_dir(struct params *ps, const struct modeldir *dir, struct error *e);

/* What adapter_config.json says.  The texts belong to o->memory.  A kind of adapter that is not known here is an error. */
struct adapter_config {
    struct lora_options lora;
    const char *base;           /* base_model_name_or_path; NULL none */
    char *memory;               /* the pattern of targets, malloc'd */
};
int adapter_config_read(const struct modeldir *dir, struct adapter_config *o, struct error *e);
void adapter_config_release(struct adapter_config *o);

/* A model ready to compute with (nothing trained): a model directory, or an adapter's
 * together with its base (`base`, or what the adapter names, relative to here or to the adapter). */
struct loaded {
    struct model *model;
    struct modeldir dir;        /* the base's, if an adapter was given */
    struct modeldir adapter;    /* path NULL: none */
};
int model_load(const char *path, const char *base, struct loaded *l, struct error *e);
void model_unload(struct loaded *l);

#endif
