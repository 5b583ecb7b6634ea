/* tests/unit/golden.h - reading golden cases: tensors by name, a model directory, a compute context */
#ifndef PENSTOCK_GOLDEN_H
#define PENSTOCK_GOLDEN_H

#include <jansson.h>

#include "kernels/models/model.h"
#include "libcommon/format/safetensors.h"

/* All end the program with a TAP "Bail out!" if something is missing. */
void golden_open(struct safetensors *st, const char *path);
bool golden_has(const struct safetensors *st, const char *name);
float *golden_f32(const struct safetensors *st, const char *name, size_t *count);           /* malloc'd */
int64_t *golden_ints(const struct safetensors *st, const char *name, size_t *count);        /* I64 or I32; malloc'd */
json_t *golden_json(const char *path);
struct model *golden_model(const char *dir);            /* with weights, everything but buffers trained, room for training */
struct model *golden_model_lent(const char *dir);       /* its gradients in the tape's arena */
void golden_weights(struct model *m, const char *path); /* every tensor of the file that the model has */
/* How far the model's weights are from the file's, over the tensors that both have.  rms: of the differences of the
 * worst tensor; NaN if any is.  off: values, of all, that differ by more than 1e-5. */
struct golden_gap { double rms; size_t tensors, off, all; };
struct golden_gap golden_gap(const struct model *m, const struct safetensors *st);
size_t golden_differ(const struct model *a, const struct model *b);    /* tensors whose weights are not the same bits */
void golden_compute(struct compute *k, int threads);

#endif
