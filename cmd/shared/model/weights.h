/* cmd/shared/model/weights.h - a model's parameters from its directory
 *
 * Joins libcommon/format/modeldir (names, shapes, bytes) and kernels/nn/param
 * (where values lie, and which are trained). */
#ifndef PENSTOCK_WEIGHTS_H
#define PENSTOCK_WEIGHTS_H

#include "kernels/nn/param/param.h"
#include "libcommon/format/modeldir.h"

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

#endif
