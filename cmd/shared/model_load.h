/* cmd/shared/model_load.h - a model's parameters from its directory
 *
 * Joins libcommon/format/modeldir (names, shapes, bytes) and kernels/models
 * (what they mean) for every program that takes --model. */
#ifndef PENSTOCK_MODEL_LOAD_H
#define PENSTOCK_MODEL_LOAD_H

#include "kernels/models/model.h"
#include "libcommon/format/modeldir.h"

/* The model that the directory's config.json describes, without weights. */
struct model *model_from_config(const struct modeldir *dir, struct error *e);

/* Values for all parameters but adapters.  float32 tensors of parameters that are
 * not trained stay in the map (so `dir` must outlive ps); all others get memory and
 * are widened to float32; with `training` also gradients and moments.  An absent
 * buffer (Whisper's sinusoids) is computed.  An absent or wrong tensor is an error. */
int params_from_dir(struct params *ps, const struct modeldir *dir, bool training, struct error *e);

/* The same for a choice of parameters, each by its name in dir's files, which must hold no others. */
struct wanted {
    struct tensor_want *want;
    struct param **p;           /* NULL: that tensor is known, and not taken */
    size_t n;
};
int wanted_begin(struct wanted *w, size_t room, struct error *e);       /* to be released in any case */
void wanted_add(struct wanted *w, struct param *p, const char *name);   /* at most `room`; name must outlive w */
void wanted_release(struct wanted *w);
int weights_from_dir(struct params *ps, const struct modeldir *dir, const struct wanted *w, bool training, struct error *e);

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
