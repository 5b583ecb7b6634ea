/* libcommon/stream/format/array.c - see array.h */
#include "libcommon/stream/format/array.h"

#include <string.h>

static const struct {
    const char *wire, *dtype;
    size_t size;
} types[] = {
    [ARRAY_F32] = { "<f4", "float32", 4 }, [ARRAY_F64] = { "<f8", "float64", 8 }, [ARRAY_I32] = { "<i4", "int32", 4 },
    [ARRAY_I64] = { "<i8", "int64", 8 },   [ARRAY_U8] = { "|u1", "uint8", 1 },    [ARRAY_I16] = { "<i2", "int16", 2 },
    [ARRAY_U16] = { "<u2", "uint16", 2 },  [ARRAY_BOOL] = { "|b1", "bool", 1 },   [ARRAY_BF16] = { "<u2", "bfloat16", 2 },
};

size_t array_item_size(enum array_type type) { return types[type].size; }
const char *array_type_name(enum array_type type) { return types[type].wire; }
const char *array_dtype_name(enum array_type type) { return types[type].dtype; }

uint64_t array_count(const struct array *a)
{
    uint64_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= a->shape[i];
    return n;
}

/* --- reading ------------------------------------------------------------------------ */

/* msgpack-numpy writes bin keys; a reader that took str for bin would write them as str. */
static bool text_is(const struct mp_value *v, const char *text)
{
    size_t n = strlen(text);
    return (v->type == MP_BIN || v->type == MP_STR) && v->bytes.size == n && !memcmp(v->bytes.data, text, n);
}

bool array_is(struct span value)
{
    struct mp_cursor c = mp_cursor(value);
    struct mp_value v;
    return mp_read(&c, &v) == 0 && v.type == MP_MAP && v.n > 0 && mp_read(&c, &v) == 0 && v.type == MP_BIN &&
           text_is(&v, "nd");
}

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}

static int type_read(const struct mp_value *v, struct array *a, const char **why)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        if (t != ARRAY_BF16 && text_is(v, types[t].wire)) {
            a->type = (enum array_type)t;
            return 0;
        }
    return fail(why, "an array of a type that is not read here (big-endian, complex, float16, ...)");
}

static int shape_read(struct mp_cursor *c, struct array *a, const char **why)
{
    struct mp_value v;
    if (mp_read(c, &v) < 0 || v.type != MP_ARRAY)
        return fail(why, "an array whose shape is not a list");
    if (v.n > ARRAY_RANK)
        return fail(why, "an array of more than 8 dimensions");
    a->rank = (int)v.n;
    for (int i = 0; i < a->rank; i++)
        if (mp_read(c, &v) < 0 || !mp_to_u64(&v, &a->shape[i]))
            return fail(why, "an array whose shape is not made of counts");
    return 0;
}

/* The data must be what type and shape say, to the byte; products are checked as they grow. */
static int data_check(const struct array *a, const char **why)
{
    uint64_t n = array_item_size(a->type);
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] == 0)
            return a->data.size == 0 ? 0 : fail(why, "an array whose data is not as long as its shape says");
    for (int i = 0; i < a->rank; i++) {
        if (a->shape[i] > UINT64_MAX / n)
            return fail(why, "an array whose shape overflows");
        n *= a->shape[i];
    }
    return n == a->data.size ? 0 : fail(why, "an array whose data is not as long as its shape says");
}

int array_read(struct span value, struct array *a, const char **why)
{
    enum { ND = 1, TYPE = 2, KIND = 4, SHAPE = 8, DATA = 16, DTYPE = 32 };
    struct mp_cursor c = mp_cursor(value);
    struct mp_value map, key, v;
    unsigned seen = 0;
    bool nd = false, bfloat16 = false;
    *a = (struct array){ .rank = 0 };
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return fail(why, "not an array");
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &key) < 0 || (key.type != MP_BIN && key.type != MP_STR))
            return fail(why, "not an array: a map with keys that are no names");
        if (key.type == MP_STR && !text_is(&key, "dtype"))
            return fail(why, "not an array: its keys are not bin");
        unsigned bit = text_is(&key, "nd") ? ND : text_is(&key, "type") ? TYPE : text_is(&key, "kind") ? KIND
                     : text_is(&key, "shape") ? SHAPE : text_is(&key, "data") ? DATA : text_is(&key, "dtype") ? DTYPE : 0;
        if (!bit || seen & bit)
            return fail(why, bit ? "an array with a key twice" : "not an array: a map with other keys");
        seen |= bit;
        if (bit == SHAPE) {
            if (shape_read(&c, a, why) < 0)
                return -1;
            continue;
        }
        if (mp_read(&c, &v) < 0)
            return fail(why, "an array that is cut short");
        if (v.type == MP_MAP || v.type == MP_ARRAY)
            return fail(why, "an array of a structured type");
        if (bit == ND)
            nd = v.type == MP_BOOL && v.b;
        else if (bit == TYPE && type_read(&v, a, why) < 0)
            return -1;
        else if (bit == KIND && !((v.type == MP_BIN || v.type == MP_STR) && v.bytes.size == 0))
            return fail(why, "an array of kind 'O' or 'V': Python would run or guess what it holds");
        else if (bit == DATA && v.type != MP_BIN)
            return fail(why, "an array whose data is not bin");
        else if (bit == DATA)
            a->data = v.bytes;
        else if (bit == DTYPE && !(bfloat16 = text_is(&v, "bfloat16")))
            return fail(why, "an array of an unknown dtype");
    }
    if (c.p != c.end)
        return fail(why, "an array with bytes behind it");
    unsigned must = ND | TYPE | DATA | (nd ? SHAPE : 0);
    if ((seen & must) != must || (!nd && seen & SHAPE))
        return fail(why, "not an array: nd, type, shape or data is missing");
    if (bfloat16 && a->type != ARRAY_U16)
        return fail(why, "an array of bfloat16 that is not '<u2'");
    if (bfloat16)
        a->type = ARRAY_BF16;
    return data_check(a, why);
}

/* --- writing -------------------------------------------------------------------------- */
static void key_put(struct buf *b, const char *key) { mp_put_bin(b, key, strlen(key)); }

void array_put_head(struct buf *b, const struct array *a)
{
    mp_put_map(b, a->type == ARRAY_BF16 ? 6 : 5);
    key_put(b, "nd");
    mp_put_bool(b, true);
    key_put(b, "type");
    mp_put_str(b, array_type_name(a->type));
    key_put(b, "kind");
    mp_put_bin(b, "", 0);
    if (a->type == ARRAY_BF16) {
        key_put(b, "dtype");
        mp_put_str(b, "bfloat16");
    }
    key_put(b, "shape");
    mp_put_array(b, (uint32_t)a->rank);
    for (int i = 0; i < a->rank; i++)
        mp_put_uint(b, a->shape[i]);
    key_put(b, "data");
    mp_put_bin_head(b, a->data.size);
}

void array_put(struct buf *b, const struct array *a)
{
    array_put_head(b, a);
    buf_append(b, a->data.data, a->data.size);
}

/* --- items ------------------------------------------------------------------------------ */
double array_at(const struct array *a, uint64_t i)
{
    const uint8_t *p = a->data.data + i * array_item_size(a->type);
    union { float f; double d; int16_t i16; uint16_t u16; int32_t i32; uint32_t u32; int64_t i64; } v;
    memcpy(&v, p, array_item_size(a->type));
    switch (a->type) {
    case ARRAY_F32: return (double)v.f;
    case ARRAY_F64: return v.d;
    case ARRAY_I32: return v.i32;
    case ARRAY_I64: return (double)v.i64;
    case ARRAY_I16: return v.i16;
    case ARRAY_U16: return v.u16;
    case ARRAY_U8:
    case ARRAY_BOOL: return *p;
    case ARRAY_BF16: v.u32 = (uint32_t)v.u16 << 16; return (double)v.f;
    }
    return 0;
}
