/* libcommon/stream/format/header.c - see header.h: what a stream is and how it was made */
#include "libcommon/stream/format/header.h"
#include "libcommon/sys/text.h"

#include <stdio.h>
#include <string.h>

enum { STAGES_MAX = 256 };

/* --- a stage's own entry --------------------------------------------------------------- */
void stage_init(struct stage *st, const char *name)
{
    *st = (struct stage){ .name = name };
    buf_init(&st->options, HEADER_MAX);
}

void stage_put_int(struct stage *st, const char *key, int64_t v)
{
    mp_put_str(&st->options, key);
    mp_put_int(&st->options, v);
    st->n++;
}

void stage_put_real(struct stage *st, const char *key, double v)
{
    mp_put_str(&st->options, key);
    mp_put_real(&st->options, v);
    st->n++;
}

void stage_put_str(struct stage *st, const char *key, const char *v)
{
    struct buf text;
    buf_init(&text, HEADER_MAX);
    text_put_utf8(&text, v, strlen(v));
    mp_put_str(&st->options, key);
    mp_put_strn(&st->options, (const char *)text.data, text.size);
    st->options.failed |= text.failed;
    buf_release(&text);
    st->n++;
}

void stage_put_bool(struct stage *st, const char *key, bool v)
{
    mp_put_str(&st->options, key);
    mp_put_bool(&st->options, v);
    st->n++;
}

void stage_release(struct stage *st) { buf_release(&st->options); }

void stage_write(struct buf *b, const struct stage *st)
{
    mp_put_map(b, st->n + 2);
    mp_put_str(b, "name");
    mp_put_str(b, st->name);
    mp_put_str(b, "version");
    mp_put_str(b, PENSTOCK_VERSION);
    buf_append(b, st->options.data, st->options.size);
    b->failed |= st->options.failed;
}

/* --- pairs of a map --------------------------------------------------------------------- */
struct pairs {
    struct mp_cursor c;
    uint32_t left;
};

static bool pairs_of(struct span map, struct pairs *ps)
{
    struct mp_value v;
    ps->c = mp_cursor(map);
    if (mp_read(&ps->c, &v) < 0 || v.type != MP_MAP)
        return false;
    ps->left = v.n;
    return true;
}

/* 1 a pair; 0 no more; -1 the key is no text or the value no msgpack. */
static int pairs_next(struct pairs *ps, struct span *key, struct span *value)
{
    struct mp_value v;
    if (!ps->left)
        return 0;
    ps->left--;
    if (mp_read(&ps->c, &v) < 0 || v.type != MP_STR || mp_skip(&ps->c, value) < 0)
        return -1;
    *key = v.bytes;
    return 1;
}

static bool is(struct span key, const char *text)
{
    return key.size == strlen(text) && !memcmp(key.data, text, key.size);
}

static bool find(struct span map, const char *name, struct span *value)
{
    struct pairs ps;
    struct span key;
    if (pairs_of(map, &ps))
        while (pairs_next(&ps, &key, value) == 1)
            if (is(key, name))
                return true;
    return false;
}

static struct span map_of(const struct header *h) { return span_of(h->map.data, h->map.size); }

/* --- reading ------------------------------------------------------------------------------ */
static int keys_check(struct span map, const char *what, struct error *e)
{
    enum { KEYS = 512 };
    struct span seen[KEYS], key, value;
    size_t n = 0;
    struct pairs ps;
    int got;
    if (!pairs_of(map, &ps))
        return error_set(e, STATUS_BAD, "%s is no map", what);
    while ((got = pairs_next(&ps, &key, &value)) == 1) {
        for (size_t i = 0; i < n; i++)
            if (seen[i].size == key.size && !memcmp(seen[i].data, key.data, key.size))
                return error_set(e, STATUS_BAD, "%s has key '%.*s' twice", what, (int)(key.size < 200 ? key.size : 200),
                                 (const char *)key.data);
        if (n == KEYS)
            return error_set(e, STATUS_BAD, "%s has more than %d keys", what, KEYS);
        seen[n++] = key;
    }
    return got < 0 ? error_set(e, STATUS_BAD, "%s has a key that is no text", what) : 0;
}

static bool text_at(struct span map, const char *key, struct span *text)
{
    struct span value;
    struct mp_value v;
    if (!find(map, key, &value) || mp_read_span(value, &v) < 0 || v.type != MP_STR)
        return false;
    *text = v.bytes;
    return true;
}

static int stages_check(struct span stages, struct error *e)
{
    struct mp_cursor c = mp_cursor(stages);
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_ARRAY)
        return error_set(e, STATUS_BAD, "header: 'stages' is no list");
    if (v.n > STAGES_MAX)
        return error_set(e, STATUS_BAD, "header: %u stages, at most %d are taken", v.n, STAGES_MAX);
    for (uint32_t i = 0; i < v.n; i++) {
        struct span stage, text;
        char what[40];
        snprintf(what, sizeof what, "header: stage %u", i + 1);
        if (mp_skip(&c, &stage) < 0)
            return error_set(e, STATUS_BAD, "%s is no msgpack", what);
        if (keys_check(stage, what, e) < 0)
            return -1;
        if (!text_at(stage, "name", &text) || !text_at(stage, "version", &text))
            return error_set(e, STATUS_BAD, "%s has no name or no version", what);
    }
    return 0;
}

static int header_check(struct span map, struct error *e)
{
    struct span value;
    struct mp_value v;
    uint64_t u;
    struct mp_cursor c = mp_cursor(map);
    if (mp_skip(&c, NULL) < 0 || c.p != c.end)
        return error_set(e, STATUS_BAD, "header: not one msgpack object, or nested too deep");
    if (keys_check(map, "header", e) < 0)
        return -1;
    if (!find(map, "penstock", &value) || mp_read_span(value, &v) < 0 || !mp_to_u64(&v, &u))
        return error_set(e, STATUS_BAD, "not a stream: its first map has no 'penstock': 1");
    if (u != 1)
        return error_set(e, STATUS_BAD, "a stream of version %llu; this program reads version 1", (unsigned long long)u);
    if (!find(map, "run", &value) || mp_read_span(value, &v) < 0 || v.type != MP_BIN || v.bytes.size < 1 ||
        v.bytes.size > 64)
        return error_set(e, STATUS_BAD, "header: 'run' is not 16 bytes of bin");
    if (!find(map, "stages", &value))
        return error_set(e, STATUS_BAD, "header: 'stages' is missing");
    if (stages_check(value, e) < 0)
        return -1;
    static const char *const counts[] = { "samples", "epochs" };
    for (int i = 0; i < 2; i++)
        if (find(map, counts[i], &value) && (mp_read_span(value, &v) < 0 || (v.type != MP_NIL && !mp_to_u64(&v, &u))))
            return error_set(e, STATUS_BAD, "header: '%s' is no whole number from 0", counts[i]);
    return 0;
}

void header_init(struct header *h) { buf_init(&h->map, HEADER_MAX); }
void header_release(struct header *h) { buf_release(&h->map); }

int header_read(struct header *h, struct span map, struct error *e)
{
    buf_clear(&h->map);
    if (map.size > HEADER_MAX)
        return error_set(e, STATUS_BAD, "header: %zu bytes, at most %d are taken", map.size, HEADER_MAX);
    if (header_check(map, e) < 0)
        return -1;
    buf_append(&h->map, map.data, map.size);
    return h->map.failed ? error_memory(e) : 0;
}

/* --- making --------------------------------------------------------------------------------- */
static int too_large(struct error *e)
{
    return error_set(e, STATUS_BAD, "header: larger than %d bytes (or out of memory)", HEADER_MAX);
}

int header_make(struct header *h, const uint8_t run[16], uint64_t samples, uint64_t epochs, const struct stage *first,
                struct error *e)
{
    header_init(h);
    struct buf *b = &h->map;
    mp_put_map(b, 3u + (samples > 0) + (epochs > 0));
    mp_put_str(b, "penstock");
    mp_put_int(b, 1);
    mp_put_str(b, "run");
    mp_put_bin(b, run, 16);
    if (samples) {
        mp_put_str(b, "samples");
        mp_put_uint(b, samples);
    }
    if (epochs) {
        mp_put_str(b, "epochs");
        mp_put_uint(b, epochs);
    }
    mp_put_str(b, "stages");
    mp_put_array(b, 1);
    stage_write(b, first);
    return b->failed ? too_large(e) : header_check(map_of(h), e);
}

int header_append(struct header *h, const struct stage *st, struct error *e)
{
    struct buf b;
    buf_init(&b, HEADER_MAX);
    struct pairs ps;
    struct span key, value;
    pairs_of(map_of(h), &ps);
    mp_put_map(&b, ps.left);
    while (pairs_next(&ps, &key, &value) == 1) {
        mp_put_strn(&b, (const char *)key.data, key.size);
        if (!is(key, "stages")) {
            buf_append(&b, value.data, value.size);
            continue;
        }
        struct mp_cursor c = mp_cursor(value);
        struct mp_value list;
        mp_read(&c, &list);                 /* a list: header_check saw it */
        if (list.n == STAGES_MAX) {
            buf_release(&b);
            return error_set(e, STATUS_BAD, "header: more than %d stages", STAGES_MAX);
        }
        mp_put_array(&b, list.n + 1);
        buf_append(&b, c.p, (size_t)(c.end - c.p));
        stage_write(&b, st);
    }
    int rc = b.failed ? too_large(e) : header_check(span_of(b.data, b.size), e);
    if (rc == 0) {
        buf_release(&h->map);
        h->map = b;
    } else {
        buf_release(&b);
    }
    return rc;
}

int header_rerun(struct header *h, const uint8_t run[16], uint64_t samples, uint64_t epochs, struct error *e)
{
    struct buf b, rest;
    struct pairs ps;
    struct span key, value;
    uint32_t n = 1u + (samples > 0) + (epochs > 0);
    buf_init(&b, HEADER_MAX);
    buf_init(&rest, HEADER_MAX);
    pairs_of(map_of(h), &ps);
    while (pairs_next(&ps, &key, &value) == 1) {
        if (is(key, "run") || is(key, "samples") || is(key, "epochs"))
            continue;
        mp_put_strn(&rest, (const char *)key.data, key.size);
        buf_append(&rest, value.data, value.size);
        n++;
    }
    mp_put_map(&b, n);
    buf_append(&b, rest.data, rest.size);       /* "penstock" stays first */
    mp_put_str(&b, "run");
    mp_put_bin(&b, run, 16);
    if (samples) {
        mp_put_str(&b, "samples");
        mp_put_uint(&b, samples);
    }
    if (epochs) {
        mp_put_str(&b, "epochs");
        mp_put_uint(&b, epochs);
    }
    int rc = b.failed || rest.failed ? too_large(e) : header_read(h, span_of(b.data, b.size), e);
    buf_release(&b);
    buf_release(&rest);
    return rc;
}

/* --- facts ------------------------------------------------------------------------------------ */
struct span header_run(const struct header *h)
{
    struct span value;
    struct mp_value v;
    if (find(map_of(h), "run", &value) && mp_read_span(value, &v) == 0 && v.type == MP_BIN)
        return v.bytes;
    return span_of("", 0);
}

bool header_stages(const struct header *h, struct span *stages) { return find(map_of(h), "stages", stages); }

static uint64_t count_at(const struct header *h, const char *key)
{
    struct span value;
    struct mp_value v;
    uint64_t u;
    return find(map_of(h), key, &value) && mp_read_span(value, &v) == 0 && mp_to_u64(&v, &u) ? u : 0;
}

uint64_t header_samples(const struct header *h) { return count_at(h, "samples"); }
uint64_t header_epochs(const struct header *h) { return count_at(h, "epochs"); }

uint64_t header_total(const struct header *h)
{
    uint64_t samples = header_samples(h), epochs = header_epochs(h), all;
    return !epochs ? samples : __builtin_mul_overflow(samples, epochs, &all) ? UINT64_MAX : all;
}

bool header_option(const struct header *h, const char *stage, const char *key, struct span *value)
{
    struct span stages, one, last = { NULL, 0 }, name;
    struct mp_value list;
    if (!find(map_of(h), "stages", &stages))
        return false;
    struct mp_cursor c = mp_cursor(stages);
    if (mp_read(&c, &list) < 0)
        return false;
    while (list.n-- && mp_skip(&c, &one) == 0)
        if (text_at(one, "name", &name) && is(name, stage))
            last = one;
    return last.data && find(last, key, value);
}

bool header_option_str(const struct header *h, const char *stage, const char *key, struct span *text)
{
    struct span value;
    struct mp_value v;
    if (!header_option(h, stage, key, &value) || mp_read_span(value, &v) < 0 || v.type != MP_STR)
        return false;
    *text = v.bytes;
    return true;
}

bool header_option_real(const struct header *h, const char *stage, const char *key, double *number)
{
    struct span value;
    struct mp_value v;
    return header_option(h, stage, key, &value) && mp_read_span(value, &v) == 0 && mp_to_real(&v, number);
}
