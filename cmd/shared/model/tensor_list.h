/* cmd/shared/model/tensor_list.h - a safetensors file put together from parameters in memory
 *
 * Nothing is copied: the list points to the values, which are narrowed as they are put. */
#ifndef PENSTOCK_TENSOR_LIST_H
#define PENSTOCK_TENSOR_LIST_H

#include "kernels/nn/param/param.h"
#include "libcommon/format/safetensors.h"

struct tensor_list {
    struct st_tensor *t;        /* data: float32 values, or of ST_I64 one number as it is */
    size_t n, room;
};

/* Adds p's name + suffix: float32 values in p's shape, to be stored as dtype; or, with ST_I64, one number. */
int tensor_list_add(struct tensor_list *l, const struct param *p, const char *suffix, enum st_dtype dtype,
                    const void *data, struct error *e);
/* The weights of all parameters that are adapters, or of all others. */
int tensor_list_add_weights(struct tensor_list *l, const struct params *ps, bool adapters, enum st_dtype dtype,
                            struct error *e);
void tensor_list_release(struct tensor_list *l);

/* Gives the file to put: its size first (`begin`), then its bytes in pieces. */
struct tensor_sink {
    int (*begin)(void *ctx, uint64_t size, struct error *e);
    int (*put)(void *ctx, const void *data, size_t n, struct error *e);
    void *ctx;
};
int tensor_list_put(const struct tensor_list *l, const struct tensor_sink *sink, struct error *e);
/* The same into a file, which appears whole or not at all. */
int tensor_list_write(const struct tensor_list *l, const char *path, struct error *e);

/* "float32", "bfloat16", "float16" */
enum st_dtype dtype_by_name(const char *name);
extern const char *const dtype_names[];         /* these, then NULL */

#endif
