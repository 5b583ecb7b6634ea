/* libcommon/format/safetensors.c - reading tensors out of one file; see safetensors.h
 *
 * Shards of one model are in safetensors_model.c, writing in safetensors_write.c. */
#include "libcommon/format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/format/safetensors_impl.h"

enum { ST_HEADER_MAX = 100000000 };     /* the library's own limit */

static const struct { const char *name; size_t size; } dtypes[] = {
    [ST_F32] = { "F32", 4 }, [ST_F16] = { "F16", 2 }, [ST_BF16] = { "BF16", 2 }, [ST_F64] = { "F64", 8 },
    [ST_I64] = { "I64", 8 }, [ST_I32] = { "I32", 4 }, [ST_I16] = { "I16", 2 }, [ST_I8] = { "I8", 1 },
    [ST_U8] = { "U8", 1 }, [ST_BOOL] = { "BOOL", 1 },
};

size_t st_item_size(enum st_dtype d) { return dtypes[d].size; }
const char *st_dtype_name(enum st_dtype d) { return dtypes[d].name; }

uint64_t st_count(const struct st_tensor *t)
{
    uint64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->shape[i];
    return n;
}

static int dtype_find(const char *name)
{
    for (int i = 0; i < (int)(sizeof dtypes / sizeof *dtypes); i++)
        if (!strcmp(dtypes[i].name, name))
            return i;
    return -1;
}

/* The shape and its number of bytes; -1 also if that does not fit 64 bits. */
static int shape_read(const json_t *shape, struct st_tensor *t, uint64_t *bytes, struct error *e)
{
    if (!json_is_array(shape) || json_array_size(shape) > ST_RANK)
        return error_set(e, STATUS_BAD, "tensor '%s': \"shape\" is no list of at most %d sizes", t->name, ST_RANK);
    t->rank = (int)json_array_size(shape);
    *bytes = st_item_size(t->dtype);
    bool overflow = false, empty = false;
    for (int i = 0; i < t->rank; i++) {
        json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return error_set(e, STATUS_BAD, "tensor '%s': a size in \"shape\" is no whole number", t->name);
        t->shape[i] = (uint64_t)json_integer_value(dim);
        empty |= t->shape[i] == 0;
        overflow |= __builtin_mul_overflow(*bytes, t->shape[i], bytes);
    }
    if (empty)
        *bytes = 0;
    else if (overflow)
        return error_set(e, STATUS_BAD, "tensor '%s': its shape has more items than any memory", t->name);
    return 0;
}

static int tensor_read(const char *name, const json_t *j, struct span data, struct st_tensor *t, struct error *e)
{
    t->name = (char *)name;
    const char *dtype = json_string_value(json_object_get(j, "dtype"));
    int d = dtype ? dtype_find(dtype) : -1;
    if (d < 0)
        return error_set(e, STATUS_BAD, "tensor '%s': its dtype '%s' is not one that can be read here (F32, F16, BF16, ...)",
                         name, dtype ? dtype : "(none)");
    t->dtype = (enum st_dtype)d;
    uint64_t bytes = 0;
    if (shape_read(json_object_get(j, "shape"), t, &bytes, e) < 0)
        return -1;
    json_t *offsets = json_object_get(j, "data_offsets");
    json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 0 ||
        json_integer_value(to) < json_integer_value(from))
        return error_set(e, STATUS_BAD, "tensor '%s': \"data_offsets\" are no range", name);
    uint64_t begin = (uint64_t)json_integer_value(from), end = (uint64_t)json_integer_value(to);
    if (end > data.size)
        return error_set(e, STATUS_BAD, "tensor '%s' ends at byte %llu of the data, but the file holds %llu: it is "
                                        "truncated",
                         name, (unsigned long long)end, (unsigned long long)data.size);
    if (end - begin != bytes)
        return error_set(e, STATUS_BAD, "tensor '%s': its shape and dtype need %llu bytes, its offsets hold %llu", name,
                         (unsigned long long)bytes, (unsigned long long)(end - begin));
    t->data = span_of(data.data + begin, (size_t)bytes);
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct st_tensor *s = a, *t = b;
    if (s->data.data != t->data.data)
        return s->data.data < t->data.data ? -1 : 1;
    return (s->data.size > t->data.size) - (s->data.size < t->data.size);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

void st_sort(struct safetensors *st)
{
    if (st->n)
        qsort(st->tensor, st->n, sizeof *st->tensor, by_name);
}

/* Every byte of the data belongs to exactly one tensor. */
static int layout_check(struct st_tensor *t, size_t n, struct span data, struct error *e)
{
    if (n)
        qsort(t, n, sizeof *t, by_offset);
    const uint8_t *at = data.data;
    for (size_t i = 0; i < n; i++) {
        if (t[i].data.data < at)
            return error_set(e, STATUS_BAD, "tensors '%s' and '%s' overlap", t[i - 1].name, t[i].name);
        if (t[i].data.data > at)
            return error_set(e, STATUS_BAD, "%zu bytes before tensor '%s' belong to no tensor",
                             (size_t)(t[i].data.data - at), t[i].name);
        at += t[i].data.size;
    }
    size_t used = (size_t)(at - data.data);
    if (used != data.size)
        return error_set(e, STATUS_BAD, "the last %zu bytes belong to no tensor", data.size - used);
    return 0;
}

static int metadata_check(const json_t *metadata, struct error *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return error_set(e, STATUS_BAD, "\"__metadata__\" is no map");
    json_object_foreach((json_t *)metadata, key, value)
        if (!json_is_string(value))
            return error_set(e, STATUS_BAD, "\"__metadata__\": '%s' is no text", key);
    return 0;
}

static int tensors_read(json_t *header, struct span data, struct safetensors *st, struct error *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(header))
        return error_set(e, STATUS_BAD, "the header is no map");
    st->tensor = calloc(json_object_size(header) + 1, sizeof *st->tensor);
    if (!st->tensor)
        return error_memory(e);
    json_object_foreach(header, key, value) {
        if (!strcmp(key, "__metadata__")) {
            if (metadata_check(value, e) < 0)
                return -1;
        } else if (tensor_read(key, value, data, &st->tensor[st->n++], e) < 0) {
            return -1;
        }
    }
    if (layout_check(st->tensor, st->n, data, e) < 0)
        return -1;
    st_sort(st);
    return 0;
}

int safetensors_parse(struct span file, struct safetensors *st, struct error *e)
{
    *st = (struct safetensors){ 0 };
    if (file.size < 8)
        return error_set(e, STATUS_BAD, "%zu bytes are too few for a safetensors file: it is truncated", file.size);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | file.data[i];
    if (n > ST_HEADER_MAX)
        return error_set(e, STATUS_BAD, "not a safetensors file: it announces a header of %llu bytes",
                         (unsigned long long)n);
    if (n > file.size - 8)
        return error_set(e, STATUS_BAD, "the header has %llu bytes, the file only %zu: it is truncated",
                         (unsigned long long)n, file.size);
    json_error_t why;
    json_t *header = json_load(span_of(file.data + 8, (size_t)n), &why);
    if (!header)
        return error_set(e, STATUS_BAD, "the header is not JSON: %s", why.text);
    st->json = json_array();
    if (!st->json || json_array_append_new(st->json, header) < 0) {
        safetensors_close(st);
        return error_memory(e);
    }
    if (tensors_read(header, span_of(file.data + 8 + n, file.size - 8 - (size_t)n), st, e) < 0) {
        safetensors_close(st);
        return -1;
    }
    return 0;
}

int safetensors_open(const char *path, struct safetensors *st, struct error *e)
{
    *st = (struct safetensors){ 0 };
    struct file_map *map = malloc(sizeof *map);
    if (!map)
        return error_memory(e);
    if (file_map_open(path, map, e) < 0) {
        free(map);
        return -1;
    }
    if (safetensors_parse(span_of(map->data, map->size), st, e) < 0) {
        file_map_close(map);
        free(map);
        return error_prefix(e, "'%s'", path);
    }
    st->maps = map;
    st->n_maps = 1;
    return 0;
}

void safetensors_close(struct safetensors *st)
{
    for (size_t i = 0; i < st->n_maps; i++)
        file_map_close(&st->maps[i]);
    free(st->maps);
    free(st->tensor);
    json_decref(st->json);
    *st = (struct safetensors){ 0 };
}

const struct st_tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    struct st_tensor key = { .name = (char *)name };
    return st->n ? bsearch(&key, st->tensor, st->n, sizeof key, by_name) : NULL;
}

/* IEEE half: 1 sign, 5 exponent, 10 fraction bits; every value is a float exactly. */
static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | fraction << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        float f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

int st_to_f32(const struct st_tensor *t, float *to, struct error *e)
{
    size_t n = (size_t)st_count(t);
    const uint8_t *from = t->data.data;
    if (t->dtype == ST_F32) {
        if (n)
            memcpy(to, from, n * sizeof *to);
        return 0;
    }
    if (t->dtype != ST_F16 && t->dtype != ST_BF16 && t->dtype != ST_F64)
        return error_set(e, STATUS_BAD, "tensor '%s' is of %s, floating point was expected", t->name,
                         st_dtype_name(t->dtype));
    for (size_t i = 0; i < n; i++) {
        if (t->dtype == ST_F64) {
            double d;
            memcpy(&d, from + 8 * i, sizeof d);
            to[i] = (float)d;
            continue;
        }
        uint16_t half;
        memcpy(&half, from + 2 * i, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        if (t->dtype == ST_F16)
            to[i] = half_to_float(half);
        else
            memcpy(&to[i], &bits, sizeof bits);
    }
    return 0;
}
