/* cmd/shared/model/save.h - writing a model directory: config.json, weights, and the files that travel with them */
#ifndef PENSTOCK_MODEL_SAVE_H
#define PENSTOCK_MODEL_SAVE_H

#include "kernels/nn/param/param.h"
#include "libcommon/format/modeldir.h"

/* config.json as it was, but for the type of the weights ("float32", ...), to which
 * from_pretrained narrows them.  b is initialised here; to be released in any case. */
int config_text(const struct modeldir *dir, const char *dtype, struct buf *b, struct error *e);

/* `path` becomes a model directory: the configuration of `dir`, the files that travel with
 * a model from the directory `extras`, the weights of ps (adapters are left out) stored as
 * dtype.  It must not exist, or be empty. */
int model_save(const char *path, const struct modeldir *dir, const char *extras, const struct params *ps,
               const char *dtype, struct error *e);

#endif
