/* libcommon/stream/format/control.c - see control.h */
#include "libcommon/stream/format/control.h"

#include <string.h>

enum { KEYS = 16 };

struct pair {
    struct span key;
    struct mp_value value;
};

static int pairs_read(struct span map, struct pair *pair, uint32_t *n, struct error *e)
{
    struct mp_cursor c = mp_cursor(map);
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP)
        return error_set(e, STATUS_BAD, "a map was expected here");
    if (v.n > KEYS)
        return error_set(e, STATUS_BAD, "a control map of %u keys, at most %d are taken", v.n, KEYS);
    *n = v.n;
    for (uint32_t i = 0; i < *n; i++) {
        struct span whole;
        if (mp_read(&c, &v) < 0 || v.type != MP_STR || mp_skip(&c, &whole) < 0 || mp_read_span(whole, &pair[i].value) < 0)
            return error_set(e, STATUS_BAD, "a control map whose keys are not all text");
        pair[i].key = v.bytes;
        for (uint32_t k = 0; k < i; k++)
            if (pair[k].key.size == v.bytes.size && !memcmp(pair[k].key.data, v.bytes.data, v.bytes.size))
                return error_set(e, STATUS_BAD, "a control map with key '%.*s' twice", (int)v.bytes.size,
                                 (const char *)v.bytes.data);
    }
    return 0;
}

static const struct mp_value *find(const struct pair *pair, uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (pair[i].key.size == strlen(key) && !memcmp(pair[i].key.data, key, strlen(key)))
            return &pair[i].value;
    return NULL;
}

static int number(const struct pair *pair, uint32_t n, const char *key, uint64_t max, uint64_t *to, struct error *e)
{
    const struct mp_value *v = find(pair, n, key);
    if (!v)
        return error_set(e, STATUS_BAD, "a control map without '%s'", key);
    if (!mp_to_u64(v, to))
        return error_set(e, STATUS_BAD, "a control map whose '%s' is no whole number from 0", key);
    if (*to > max)
        return error_set(e, STATUS_BAD, "'%s' is %llu, over the limit of %llu", key, (unsigned long long)*to,
                         (unsigned long long)max);
    return 0;
}

/* What train-step puts out is framed alike. */
static bool of_checkpoints(const struct pair *pair, uint32_t n, const struct mp_value *t)
{
    return mp_str_is(t, "FILE") || mp_str_is(t, "CHUNK") || mp_str_is(t, "COMMIT") ||
           (mp_str_is(t, "END") && find(pair, n, "checkpoints"));
}

int control_read(struct span map, struct control *c, struct error *e)
{
    struct pair pair[KEYS];
    uint32_t n = 0;
    uint64_t crc;
    *c = (struct control){ .type = CONTROL_DATA };
    if (pairs_read(map, pair, &n, e) < 0)
        return -1;
    const struct mp_value *t = find(pair, n, "t");
    if (!t || t->type != MP_STR) {
        if (find(pair, n, "penstock"))
            return error_set(e, STATUS_BAD, "a header inside a stream: the stream before it has no end");
        return error_set(e, STATUS_BAD, "a control map without 't'");
    }
    if (of_checkpoints(pair, n, t))
        return error_set(e, STATUS_BAD, "a stream of checkpoints, not of samples: it is for ckpt-write");
    if (mp_str_is(t, "DATA")) {
        if (number(pair, n, "q", UINT64_MAX, &c->q, e) < 0 || number(pair, n, "e", UINT64_MAX, &c->e, e) < 0
            || number(pair, n, "k", UNIT_SAMPLES, &c->k, e) < 0 || number(pair, n, "n", UNIT_MAX, &c->n, e) < 0)
            return -1;
    } else if (mp_str_is(t, "END")) {
        c->type = CONTROL_END;
        if (number(pair, n, "units", UINT64_MAX, &c->end.units, e) < 0 ||
            number(pair, n, "samples", UINT64_MAX, &c->end.samples, e) < 0
            || number(pair, n, "errors", UINT64_MAX, &c->end.errors, e) < 0)
            return -1;
    } else {
        return error_set(e, STATUS_BAD, "a control map of type '%.*s': not a stream of samples",
                         (int)(t->bytes.size < 40 ? t->bytes.size : 40), (const char *)t->bytes.data);
    }
    if (number(pair, n, "c", UINT32_MAX, &crc, e) < 0)
        return -1;
    c->c = (uint32_t)crc;
    return 0;
}

/* A whole number from 0 at p; behind it, or NULL. */
static const uint8_t *number_quick(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    if (p == end)
        return NULL;
    if (*p < 0x80) {
        *v = *p;
        return p + 1;
    }
    if (*p < 0xcc || *p > 0xcf)
        return NULL;
    int bytes = 1 << (*p - 0xcc);
    if (end - ++p < bytes)
        return NULL;
    for (*v = 0; bytes; bytes--)
        *v = *v << 8 | *p++;
    return p;
}

/* A unit's map as control_put writes it, without walking it first: its size.  0: what lies there is not whole, not of
 * that form, or out of range; control_read will say. */
static size_t unit_quick(struct span bytes, struct control *c)
{
    static const uint8_t begin[8] = { 0x86, 0xa1, 't', 0xa4, 'D', 'A', 'T', 'A' };
    static const char key[] = "qeknc";
    uint64_t v[5];
    if (bytes.size < sizeof begin || memcmp(bytes.data, begin, sizeof begin))
        return 0;
    const uint8_t *p = bytes.data + sizeof begin, *end = bytes.data + bytes.size;
    for (int i = 0; i < 5; i++)
        if (end - p < 2 || p[0] != 0xa1 || p[1] != key[i] || !(p = number_quick(p + 2, end, &v[i])))
            return 0;
    if (v[2] > UNIT_SAMPLES || v[3] > UNIT_MAX || v[4] > UINT32_MAX)
        return 0;
    *c = (struct control){ .type = CONTROL_DATA, .q = v[0], .e = v[1], .k = v[2], .n = v[3], .c = (uint32_t)v[4] };
    return (size_t)(p - bytes.data);
}

ssize_t control_at(struct span bytes, struct control *c, uint64_t *need, struct error *e)
{
    struct mp_walk walk = { 0 };
    size_t quick = unit_quick(bytes, c);
    if (quick)
        return (ssize_t)quick;
    int got = mp_walk_map(&walk, bytes, CONTROL_MAX, "a unit or the end", need, e);
    if (got < 1)
        return got;
    return control_read(span_of(bytes.data, (size_t)walk.at), c, e) < 0 ? -1 : (ssize_t)walk.at;
}

static void put(struct buf *b, const char *key, uint64_t v)
{
    mp_put_str(b, key);
    mp_put_uint(b, v);
}

void control_put(struct buf *b, const struct control *c)
{
    mp_put_map(b, c->type == CONTROL_DATA ? 6 : 5);
    mp_put_str(b, "t");
    mp_put_str(b, c->type == CONTROL_DATA ? "DATA" : "END");
    if (c->type == CONTROL_DATA) {
        put(b, "q", c->q);
        put(b, "e", c->e);
        put(b, "k", c->k);
        put(b, "n", c->n);
    } else {
        put(b, "units", c->end.units);
        put(b, "samples", c->end.samples);
        put(b, "errors", c->end.errors);
    }
    put(b, "c", c->c);
}

void stream_sum_header(struct stream_sum *s, struct span map)
{
    *s = (struct stream_sum){ .crc = crc32c(0, map.data, map.size) };
}

void stream_sum_unit(struct stream_sum *s, struct buf *b, const struct control *c, const void *body, uint64_t errors)
{
    size_t from = b->size;
    control_put(b, c);
    if (!b->failed)
        s->crc = crc32c(s->crc, b->data + from, b->size - from);
    s->crc = crc32c_append(s->crc, body, c->n, c->c);
    s->end.units++;
    s->end.samples += c->k;
    s->end.errors += errors;
}

void stream_sum_end(const struct stream_sum *s, struct buf *b)
{
    control_put(b, &(struct control){ .type = CONTROL_END, .end = s->end, .c = s->crc });
}
