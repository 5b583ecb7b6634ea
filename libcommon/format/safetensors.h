/* libcommon/format/safetensors.h - tensors in a file, by name
 *
 * Format: u64 length of a JSON header, the header, the data
 * (https://github.com/huggingface/safetensors#format).  Everything is checked
 * before use: header length, offsets against the file, element counts against
 * byte counts, overlaps, holes. */
#ifndef PENSTOCK_SAFETENSORS_H
#define PENSTOCK_SAFETENSORS_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/file.h"

enum st_dtype { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL };
enum { ST_RANK = 8 };

struct st_tensor {
    char *name;
    enum st_dtype dtype;
    int rank;
    uint64_t shape[ST_RANK];
    struct span data;           /* inside the map; any alignment */
};

struct safetensors {            /* one file, or the shards of one index */
    struct file_map *maps;
    size_t n_maps;
    struct st_tensor *tensor;   /* sorted by name */
    size_t n;
    void *json;                 /* owner of the names */
};

int safetensors_open(const char *path, struct safetensors *st, struct error *e);
/* DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json names. */
int safetensors_open_model(const char *dir, struct safetensors *st, struct error *e);
void safetensors_close(struct safetensors *st);
const struct st_tensor *safetensors_find(const struct safetensors *st, const char *name);
uint64_t st_count(const struct st_tensor *t);
size_t st_item_size(enum st_dtype d);
const char *st_dtype_name(enum st_dtype d);
/* count values as float32, from F32, F16, BF16 or F64. -1: another type. */
int st_to_f32(const struct st_tensor *t, float *to, struct error *e);
/* The header alone, from bytes: for the fuzzer and for readers of streams. */
int safetensors_parse(struct span file, struct safetensors *st, struct error *e);

/* Writing: the header for these tensors (data ignored), 8-byte padded as the
 * library pads it, tensors laid out in the order given.  metadata: {"format": "pt"}. */
int safetensors_header(const struct st_tensor *t, size_t n, struct buf *header, struct error *e);
/* n float32 values as F32, F16 or BF16 (to the nearest, ties to even), little-endian: what a writer puts after
 * the header. */
void st_from_f32(const float *from, size_t n, enum st_dtype d, void *to);

#endif
