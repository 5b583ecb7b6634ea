/* libcommon/format/modeldir.h - a model directory as Hugging Face lays it out
 *
 * DIR holds config.json, model.safetensors (or shards and their index), and the
 * files of tokenizer and preprocessor.  An adapter's directory (PEFT) holds
 * adapter_config.json and adapter_model.safetensors.  This reads names, shapes
 * and bytes; what the tensors mean is for kernels/models. */
#ifndef PENSTOCK_MODELDIR_H
#define PENSTOCK_MODELDIR_H

#include "libcommon/format/json.h"
#include "libcommon/format/safetensors.h"

struct modeldir {
    char *path;
    bool adapter;               /* holds an adapter: then `config` is adapter_config.json */
    struct buf config;          /* config.json's bytes */
    json_t *json;               /* the same, parsed: an object */
    struct safetensors tensors; /* mapped; live until modeldir_close */
};

int modeldir_open(const char *path, struct modeldir *m, struct error *e);
/* The same without tensors: for those who only need the configuration.  path may be the
 * file config.json itself, under any name. */
int modeldir_open_config(const char *path, struct modeldir *m, struct error *e);
void modeldir_close(struct modeldir *m);        /* {0} is fine */

/* Gives the pages of the maps back to the system; what is read again comes again. */
void modeldir_forget(const struct modeldir *m);

struct tensor_want {
    const char *name;
    int rank;
    const size_t *shape;
    bool optional;              /* may be absent: found NULL */
    const struct st_tensor *found;
};
/* Finds each wanted tensor.  -1, naming the first, if one is missing, has another
 * shape, or if the file has one that nobody wants - except the copies of tied
 * output weights that some tools store (`proj_out.weight`, `lm_head.weight`). */
int modeldir_match(const struct modeldir *m, struct tensor_want *want, size_t n, struct error *e);

/* Calls each for every file of dir that travels with a model from checkpoint to
 * checkpoint: tokenizer, preprocessor, generation, chat template.  config.json
 * and weights are not among them.  each returns 0 to go on. */
int modeldir_each_extra(const char *dir, int (*each)(void *ctx, const char *name, struct span bytes, struct error *e),
                        void *ctx, struct error *e);

#endif
