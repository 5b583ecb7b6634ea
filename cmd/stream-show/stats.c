/* cmd/stream-show/stats.c - see stats.h */
#include "cmd/stream-show/stats.h"
#include "libcommon/stream/show.h"
#include "libcommon/sys/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES = 11, ARRAY_SLOT = 10 };       /* msgpack's ten types, and arrays of numbers */

static const char *const type_names[TYPES] = { "null", "bool", "int", "int", "float", "str", "bin", "list", "map",
                                               "ext", "array" };

struct field_stats {
    char *name;
    size_t name_size;
    uint64_t count, bytes;
    uint64_t types[TYPES];
    double size_min, size_max;  /* of texts and bins, in bytes */
    /* numbers, and the items of arrays */
    double min, max, sum;
    uint64_t finite, nan, inf;
    uint64_t dtypes[ARRAY_BF16 + 1];
    int rank;                   /* -1: it differs */
    uint64_t shape_min[ARRAY_RANK], shape_max[ARRAY_RANK];
};

struct tally {
    char *name;
    size_t size;
    uint64_t count;
};

struct stats {
    uint64_t headers, units, samples, errors, epoch_min, epoch_max;
    struct field_stats *field;
    size_t n, room;
    struct tally *stage;        /* that failed samples */
    size_t n_stages;
};

struct stats *stats_new(void) { return calloc(1, sizeof(struct stats)); }

void stats_free(struct stats *st)
{
    for (size_t i = 0; i < st->n; i++)
        free(st->field[i].name);
    for (size_t i = 0; i < st->n_stages; i++)
        free(st->stage[i].name);
    free(st->field);
    free(st->stage);
    free(st);
}

/* --- counting ------------------------------------------------------------------------------ */
static char *copy_of(struct span s)
{
    char *text = malloc(s.size + 1);
    if (text && s.size)
        memcpy(text, s.data, s.size);
    return text;
}

static struct field_stats *field_of(struct stats *st, struct span key)
{
    for (size_t i = 0; i < st->n; i++)
        if (st->field[i].name_size == key.size && !memcmp(st->field[i].name, key.data, key.size))
            return &st->field[i];
    if (st->n == st->room) {
        size_t room = st->room ? st->room * 2 : 16;
        struct field_stats *field = realloc(st->field, room * sizeof *field);
        if (!field)
            return NULL;
        st->field = field;
        st->room = room;
    }
    struct field_stats *f = &st->field[st->n];
    *f = (struct field_stats){ .name = copy_of(key), .name_size = key.size, .min = INFINITY, .max = -INFINITY,
                               .size_min = INFINITY, .size_max = -INFINITY };
    if (!f->name)
        return NULL;
    st->n++;
    return f;
}

static void number_add(struct field_stats *f, double v)
{
    if (!isfinite(v)) {
        f->nan += isnan(v) != 0;
        f->inf += isinf(v) != 0;
        return;
    }
    f->finite++;
    f->sum += v;
    f->min = v < f->min ? v : f->min;
    f->max = v > f->max ? v : f->max;
}

static void array_add(struct field_stats *f, const struct array *a)
{
    struct array_summary s = array_summary(a);
    f->finite += s.finite;
    f->nan += s.nan;
    f->inf += s.inf;
    f->sum += s.sum;
    f->min = s.min < f->min ? s.min : f->min;
    f->max = s.max > f->max ? s.max : f->max;
    if (f->types[ARRAY_SLOT] == 1)
        f->rank = a->rank;
    else if (f->rank != a->rank)
        f->rank = -1;
    for (int i = 0; i < f->rank; i++) {
        bool first = f->types[ARRAY_SLOT] == 1;
        f->shape_min[i] = first || a->shape[i] < f->shape_min[i] ? a->shape[i] : f->shape_min[i];
        f->shape_max[i] = first || a->shape[i] > f->shape_max[i] ? a->shape[i] : f->shape_max[i];
    }
    f->dtypes[a->type]++;
}

static void value_add(struct field_stats *f, struct span value)
{
    struct mp_value v;
    struct array a;
    const char *why;
    double number;
    f->count++;
    f->bytes += value.size;
    if (array_is(value) && array_read(value, &a, &why) == 0) {
        f->types[ARRAY_SLOT]++;
        array_add(f, &a);
        return;
    }
    if (mp_read_span(value, &v) < 0)
        return;
    f->types[v.type]++;
    if (mp_to_real(&v, &number))
        number_add(f, number);
    if (v.type == MP_STR || v.type == MP_BIN) {
        double n = (double)v.bytes.size;
        f->size_min = n < f->size_min ? n : f->size_min;
        f->size_max = n > f->size_max ? n : f->size_max;
    }
}

static int failure_add(struct stats *st, struct span name)
{
    st->errors++;
    for (size_t i = 0; i < st->n_stages; i++)
        if (st->stage[i].size == name.size && !memcmp(st->stage[i].name, name.data, name.size)) {
            st->stage[i].count++;
            return 0;
        }
    struct tally *stage = realloc(st->stage, (st->n_stages + 1) * sizeof *stage);
    if (!stage)
        return -1;
    st->stage = stage;
    stage[st->n_stages] = (struct tally){ copy_of(name), name.size, 1 };
    if (!stage[st->n_stages].name)
        return -1;
    st->n_stages++;
    return 0;
}

void stats_header(struct stats *st) { st->headers++; }

void stats_facts(const struct stats *st, struct facts *f)
{
    f->units_in = f->units = st->units;
    f->samples = st->samples;
    f->errors = st->errors;
}

int stats_unit(struct stats *st, const struct unit *u, bool fields)
{
    st->epoch_min = !st->units || u->epoch < st->epoch_min ? u->epoch : st->epoch_min;
    st->epoch_max = u->epoch > st->epoch_max ? u->epoch : st->epoch_max;
    st->units++;
    st->samples += u->k;
    for (uint32_t i = 0; i < u->k; i++) {
        const struct sample *s = &u->sample[i];
        struct sample_error what;
        bool failed = sample_error(s, &what);
        if (failed && failure_add(st, what.stage.data ? what.stage : span_of("?", 1)) < 0)
            return -1;
        for (size_t k = 0; fields && k < s->n && !failed; k++) {
            struct field_stats *f = field_of(st, s->field[k].key);
            if (!f)
                return -1;
            value_add(f, s->field[k].value);
        }
    }
    return 0;
}

/* --- printing ---------------------------------------------------------------------------------- */
static void shape_print(struct buf *b, const char *key, const uint64_t *shape, int rank)
{
    buf_printf(b, ", \"%s\": [", key);
    for (int i = 0; i < rank; i++)
        buf_printf(b, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    buf_printf(b, "]");
}

static void names_print(struct buf *b, const char *key, const uint64_t *counts, int n, const char *(*name)(int))
{
    const char *seen = NULL;
    for (int i = 0; i < n; i++)
        if (counts[i] && (!seen || strcmp(seen, name(i)))) {
            if (seen)
                buf_printf(b, "|%s", name(i));
            else
                buf_printf(b, ", \"%s\": \"%s", key, name(i));
            seen = name(i);
        }
    if (seen)
        buf_printf(b, "\"");
}

static const char *type_name(int i) { return type_names[i]; }
static const char *dtype_name(int i) { return array_dtype_name((enum array_type)i); }

static void field_print(struct buf *b, const struct field_stats *f)
{
    buf_printf(b, "{\"field\": ");
    text_put_json(b, f->name, f->name_size);
    buf_printf(b, ", \"count\": %llu", (unsigned long long)f->count);
    names_print(b, "type", f->types, TYPES, type_name);
    buf_printf(b, ", \"bytes\": %llu", (unsigned long long)f->bytes);
    names_print(b, "dtype", f->dtypes, ARRAY_BF16 + 1, dtype_name);
    if (f->types[ARRAY_SLOT] && f->rank > 0) {
        shape_print(b, "shape_min", f->shape_min, f->rank);
        shape_print(b, "shape_max", f->shape_max, f->rank);
    }
    if (f->size_min <= f->size_max)
        buf_printf(b, ", \"shortest\": %.0f, \"longest\": %.0f", f->size_min, f->size_max);
    if (f->finite)
        buf_printf(b, ", \"min\": %.7g, \"mean\": %.7g, \"max\": %.7g", f->min, f->sum / (double)f->finite, f->max);
    if (f->nan)
        buf_printf(b, ", \"nan\": %llu", (unsigned long long)f->nan);
    if (f->inf)
        buf_printf(b, ", \"inf\": %llu", (unsigned long long)f->inf);
    buf_printf(b, "}\n");
}

void stats_print(const struct stats *st, struct buf *b, uint64_t bytes, bool complete)
{
    buf_printf(b, "{\"headers\": %llu, \"units\": %llu, \"samples\": %llu, \"errors\": %llu, \"epochs\": %llu, "
                  "\"bytes\": %llu, \"complete\": %s}\n",
               (unsigned long long)st->headers, (unsigned long long)st->units, (unsigned long long)st->samples,
               (unsigned long long)st->errors, (unsigned long long)(st->units ? st->epoch_max - st->epoch_min + 1 : 0),
               (unsigned long long)bytes, complete ? "true" : "false");
    for (size_t i = 0; i < st->n_stages; i++) {
        buf_printf(b, "{\"failed_by\": ");
        text_put_json(b, st->stage[i].name, st->stage[i].size);
        buf_printf(b, ", \"count\": %llu}\n", (unsigned long long)st->stage[i].count);
    }
    for (size_t i = 0; i < st->n; i++)
        field_print(b, &st->field[i]);
}
