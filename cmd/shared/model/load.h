/* cmd/shared/model/load.h - a model from its directory, for every program that takes --model */
#ifndef PENSTOCK_MODEL_LOAD_H
#define PENSTOCK_MODEL_LOAD_H

#include "cmd/shared/model/weights.h"
#include "kernels/models/model.h"

/* The model that the directory's config.json describes, without weights. */
struct model *model_from_config(const struct modeldir *dir, struct error *e);

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
