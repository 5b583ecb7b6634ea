/* libcommon/stream/show.c - see show.h */
#include "libcommon/stream/show.h"
#include "libcommon/sys/text.h"

#include <math.h>

struct array_summary array_summary(const struct array *a)
{
    struct array_summary s = { .min = INFINITY, .max = -INFINITY };
    uint64_t n = array_count(a);
    for (uint64_t i = 0; i < n; i++) {
        double v = array_at(a, i);
        if (!isfinite(v)) {
            s.nan += isnan(v) != 0;
            s.inf += isinf(v) != 0;
            continue;
        }
        s.finite++;
        s.sum += v;
        s.min = v < s.min ? v : s.min;
        s.max = v > s.max ? v : s.max;
    }
    return s;
}

static bool real(enum array_type t) { return t == ARRAY_F32 || t == ARRAY_F64 || t == ARRAY_BF16; }

/* A number of that array type: whole, or with seven digits. */
static void show_number(struct buf *b, enum array_type type, double v)
{
    if (!isfinite(v))
        buf_printf(b, "null");
    else
        buf_printf(b, real(type) ? "%.7g" : "%.0f", v);
}

static void array_show(struct buf *b, const struct array *a, const struct show *how)
{
    struct array_summary s = array_summary(a);
    buf_printf(b, "{\"shape\": [");
    for (int i = 0; i < a->rank; i++)
        buf_printf(b, "%s%llu", i ? ", " : "", (unsigned long long)a->shape[i]);
    buf_printf(b, "], \"dtype\": \"%s\"", array_dtype_name(a->type));
    if (s.finite) {
        buf_printf(b, ", \"min\": ");
        show_number(b, a->type, s.min);
        buf_printf(b, ", \"mean\": %.7g, \"max\": ", s.sum / (double)s.finite);
        show_number(b, a->type, s.max);
    }
    if (s.nan)
        buf_printf(b, ", \"nan\": %llu", (unsigned long long)s.nan);
    if (s.inf)
        buf_printf(b, ", \"inf\": %llu", (unsigned long long)s.inf);
    if (how->values) {
        uint64_t n = array_count(a) < how->values ? array_count(a) : how->values;
        buf_printf(b, ", \"values\": [");
        for (uint64_t i = 0; i < n; i++) {
            buf_printf(b, "%s", i ? ", " : "");
            show_number(b, a->type, array_at(a, i));
        }
        buf_printf(b, "]");
    }
    buf_printf(b, "}");
}

static void bytes_show(struct buf *b, struct span bytes, const struct show *how)
{
    if (!how->hex) {
        buf_printf(b, "{\"bytes\": %zu}", bytes.size);
        return;
    }
    buf_printf(b, "\"");
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(b, "%02x", bytes.data[i]);
    buf_printf(b, "\"");
}

static void scalar_show(struct buf *b, const struct mp_value *v, const struct show *how)
{
    switch (v->type) {
    case MP_BOOL: buf_printf(b, v->b ? "true" : "false"); break;
    case MP_INT: buf_printf(b, "%lld", (long long)v->i); break;
    case MP_UINT: buf_printf(b, "%llu", (unsigned long long)v->u); break;
    case MP_REAL: text_put_json_real(b, v->r); break;
    case MP_STR: text_put_json(b, v->bytes.data, v->bytes.size); break;
    case MP_BIN: bytes_show(b, v->bytes, how); break;
    case MP_EXT: buf_printf(b, "{\"ext\": %d, \"bytes\": %zu}", v->ext, v->bytes.size); break;
    default: buf_printf(b, "null"); break;
    }
}

/* JSON's keys are text: what is not becomes it. */
static void key_show(struct buf *b, struct mp_cursor *c, const struct show *how)
{
    struct span whole = { NULL, 0 };
    struct mp_value v;
    if (mp_skip(c, &whole) < 0 || mp_read_span(whole, &v) < 0)
        return;
    if (v.type == MP_STR || v.type == MP_BIN) {
        text_put_json(b, v.bytes.data, v.bytes.size);
        return;
    }
    struct buf text;
    buf_init(&text, SIZE_MAX);
    show_value(&text, whole, how);
    text_put_json(b, text.data, text.size);
    buf_release(&text);
}

/* Depth is bounded: the cursor's objects went through mp_skip, which takes MP_DEPTH levels. */
static void next_show(struct buf *b, struct mp_cursor *c, const struct show *how)
{
    struct span whole = { NULL, 0 };
    if (mp_skip(c, &whole) == 0)
        show_value(b, whole, how);
}

void show_value(struct buf *b, struct span value, const struct show *how)
{
    struct mp_cursor c = mp_cursor(value);
    struct mp_value v;
    struct array a;
    const char *why;
    if (array_is(value)) {
        if (array_read(value, &a, &why) < 0)
            buf_printf(b, "{\"array\": \"%s\"}", why);
        else if (a.rank == 0)
            show_number(b, a.type, array_at(&a, 0));
        else
            array_show(b, &a, how);
        return;
    }
    if (mp_read(&c, &v) < 0)
        return;
    if (v.type == MP_ARRAY) {
        buf_printf(b, "[");
        for (uint32_t i = 0; i < v.n; i++) {
            buf_printf(b, "%s", i ? ", " : "");
            next_show(b, &c, how);
        }
        buf_printf(b, "]");
    } else if (v.type == MP_MAP) {
        buf_printf(b, "{");
        for (uint32_t i = 0; i < v.n; i++) {
            buf_printf(b, "%s", i ? ", " : "");
            key_show(b, &c, how);
            buf_printf(b, ": ");
            next_show(b, &c, how);
        }
        buf_printf(b, "}");
    } else {
        scalar_show(b, &v, how);
    }
}

void show_sample(struct buf *b, const struct sample *s, const struct show *how)
{
    buf_printf(b, "{");
    for (size_t i = 0; i < s->n; i++) {
        buf_printf(b, "%s", i ? ", " : "");
        text_put_json(b, s->field[i].key.data, s->field[i].key.size);
        buf_printf(b, ": ");
        show_value(b, s->field[i].value, how);
    }
    buf_printf(b, "}");
}
