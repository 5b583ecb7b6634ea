/* libcommon/stream/format/sample.c - see sample.h */
#include "libcommon/stream/format/sample.h"
#include "libcommon/sys/text.h"

#include <string.h>

/* --- fields ---------------------------------------------------------------------------- */
static bool key_is(struct span key, const char *text, size_t n)
{
    return key.size == n && !memcmp(key.data, text, n);
}

static struct field *find(const struct sample *s, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < s->n; i++)
        if (key_is(s->field[i].key, key, n))
            return &s->field[i];
    return NULL;
}

static int room_make(struct sample *s, size_t n)
{
    if (n <= s->room)
        return 0;
    size_t room = n < 4 ? 4 : n + n / 2;
    struct field *field = arena_alloc(s->arena, room * sizeof *field);
    if (!field)
        return -1;
    if (s->n)
        memcpy(field, s->field, s->n * sizeof *field);
    s->field = field;
    s->room = room;
    return 0;
}

int sample_read(struct span map, struct arena *arena, struct sample *s, const char **why)
{
    struct mp_cursor c = mp_cursor(map);
    struct mp_value v, key;
    *s = (struct sample){ .arena = arena };
    *why = "a sample that is no map";
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP)
        return -1;
    *why = "a sample of more than 64 fields";
    if (v.n > SAMPLE_FIELDS)
        return -1;
    *why = "out of memory";
    if (room_make(s, v.n) < 0)
        return -1;
    for (uint32_t i = 0; i < v.n; i++) {
        *why = "a sample with a key that is no text";
        if (mp_read(&c, &key) < 0 || key.type != MP_STR || !text_is_utf8(key.bytes.data, key.bytes.size))
            return -1;
        *why = "a sample with a key twice";
        for (size_t k = 0; k < s->n; k++)
            if (s->field[k].key.size == key.bytes.size && !memcmp(s->field[k].key.data, key.bytes.data, key.bytes.size))
                return -1;
        struct field *f = &s->field[s->n++];
        f->key = key.bytes;
        *why = "a sample with a value that is no msgpack, or nested too deep";
        if (mp_skip(&c, &f->value) < 0)
            return -1;
    }
    *why = "a sample with bytes behind it";
    return c.p == c.end ? 0 : -1;
}

void sample_write(struct buf *b, const struct sample *s)
{
    mp_put_map(b, (uint32_t)s->n);
    for (size_t i = 0; i < s->n; i++) {
        mp_put_strn(b, (const char *)s->field[i].key.data, s->field[i].key.size);
        buf_append(b, s->field[i].value.data, s->field[i].value.size);
    }
}

bool sample_has(const struct sample *s, const char *key) { return find(s, key) != NULL; }

const struct span *sample_get(const struct sample *s, const char *key)
{
    const struct field *f = find(s, key);
    return f ? &f->value : NULL;
}

struct span sample_id(const struct sample *s)
{
    const struct field *f = find(s, "id");
    struct mp_value v;
    if (f && mp_read_span(f->value, &v) == 0 && v.type == MP_STR)
        return v.bytes;
    return span_of("", 0);
}

bool sample_failed(const struct sample *s) { return sample_has(s, "error"); }

/* --- reading one field ------------------------------------------------------------------- */
static int wrong(const char *key, const char *what, struct error *e)
{
    return error_set(e, STATUS_BAD, "field '%s' is %s", key, what);
}

/* 1 with the value; 0 absent or nil; -1 no msgpack. */
static int value_of(const struct sample *s, const char *key, struct mp_value *v, const struct field **f)
{
    *f = find(s, key);
    if (!*f)
        return 0;
    if (mp_read_span((*f)->value, v) < 0)
        return -1;
    return v->type != MP_NIL;
}

static int bytes_of(const struct sample *s, const char *key, enum mp_type type, const char *not_that, struct span *to,
                    struct error *e)
{
    struct mp_value v;
    const struct field *f;
    int got = value_of(s, key, &v, &f);
    if (got == 0)
        return 0;
    if (got < 0 || v.type != type)
        return wrong(key, not_that, e);
    *to = v.bytes;
    return 1;
}

int sample_str(const struct sample *s, const char *key, struct span *text, struct error *e)
{
    return bytes_of(s, key, MP_STR, "not text", text, e);
}

int sample_bin(const struct sample *s, const char *key, struct span *bytes, struct error *e)
{
    return bytes_of(s, key, MP_BIN, "not bytes (bin)", bytes, e);
}

/* As value_of, of a number: 2 if it is one of numpy's scalars (np.float32(1)), which is in *a then. */
static int number_of(const struct sample *s, const char *key, struct mp_value *v, struct array *a)
{
    const char *why;
    const struct field *f;
    int got = value_of(s, key, v, &f);
    return got > 0 && array_read(f->value, a, &why) == 0 && a->rank == 0 ? 2 : got;
}

int sample_real(const struct sample *s, const char *key, double *v, struct error *e)
{
    struct mp_value x;
    struct array a;
    int got = number_of(s, key, &x, &a);
    if (got == 0 || (got == 1 && mp_to_real(&x, v)))
        return got;
    if (got < 2)
        return wrong(key, "not a number", e);
    *v = array_at(&a, 0);
    return 1;
}

int sample_int(const struct sample *s, const char *key, int64_t *v, struct error *e)
{
    struct mp_value x;
    struct array a;
    int got = number_of(s, key, &x, &a);
    if (got == 0 || (got == 1 && mp_to_i64(&x, v)))
        return got;
    if (got < 2 || a.type == ARRAY_F32 || a.type == ARRAY_F64 || a.type == ARRAY_BF16)
        return wrong(key, "not a whole number", e);
    if (a.type == ARRAY_I64)
        memcpy(v, a.data.data, sizeof *v);
    else
        *v = (int64_t)array_at(&a, 0);
    return 1;
}

int sample_array(const struct sample *s, const char *key, struct array *a, struct error *e)
{
    struct mp_value v;
    const struct field *f;
    const char *why = "no msgpack";
    int got = value_of(s, key, &v, &f);
    if (got == 0)
        return 0;
    if (got < 0 || array_read(f->value, a, &why) < 0)
        return wrong(key, why, e);
    return 1;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Memory of n bytes that becomes the value of `key`; NULL with e filled. */
static uint8_t *put(struct sample *s, const char *key, size_t n, struct error *e)
{
    struct field *f = find(s, key);
    uint8_t *value = arena_alloc(s->arena, n);
    if (!value)
        goto memory;
    if (!f) {
        if (s->n == SAMPLE_FIELDS) {
            wrong(key, "one too many: a sample has 64 fields at most", e);
            return NULL;
        }
        size_t k = strlen(key);
        char *copy = arena_alloc(s->arena, k + 1);
        if (!copy || room_make(s, s->n + 1) < 0)
            goto memory;
        memcpy(copy, key, k + 1);
        f = &s->field[s->n++];
        f->key = span_of(copy, k);
    }
    f->value = span_of(value, n);
    return value;
memory:
    error_set(e, STATUS_AGAIN, "out of memory for field '%s' (%zu bytes)", key, n);
    return NULL;
}

/* The value is a short head and then data, which is copied once. */
static int put_parts(struct sample *s, const char *key, const struct buf *head, const void *data, size_t n, struct error *e)
{
    if (head->failed || n > SIZE_MAX - head->size)
        return error_set(e, STATUS_BAD, "field '%s' of %zu bytes is too large", key, n);
    uint8_t *to = put(s, key, head->size + n, e);
    if (!to)
        return -1;
    if (head->size)
        memcpy(to, head->data, head->size);
    if (n)
        memcpy(to + head->size, data, n);
    return 0;
}

int sample_put_raw(struct sample *s, const char *key, struct span object, struct error *e)
{
    struct buf none;
    buf_init(&none, 0);
    return put_parts(s, key, &none, object.data, object.size, e);
}

/* Puts what was written into b, and releases it. */
static int put_buf(struct sample *s, const char *key, struct buf *b, const void *data, size_t n, struct error *e)
{
    int rc = put_parts(s, key, b, data, n, e);
    buf_release(b);
    return rc;
}

int sample_put_str(struct sample *s, const char *key, const char *text, size_t n, struct error *e)
{
    struct buf b, mended;
    buf_init(&b, SIZE_MAX);
    buf_init(&mended, SIZE_MAX);
    if (!text_is_utf8(text, n)) {
        text_put_utf8(&mended, text, n);
        text = (const char *)mended.data;
        n = mended.size;
    }
    mp_put_strn(&b, text, n);
    b.failed |= mended.failed;
    int rc = put_buf(s, key, &b, NULL, 0, e);
    buf_release(&mended);
    return rc;
}

int sample_put_bin(struct sample *s, const char *key, const void *data, size_t n, struct error *e)
{
    struct buf b;
    buf_init(&b, 64);
    mp_put_bin_head(&b, n);
    return put_buf(s, key, &b, data, n, e);
}

int sample_put_int(struct sample *s, const char *key, int64_t v, struct error *e)
{
    struct buf b;
    buf_init(&b, 64);
    mp_put_int(&b, v);
    return put_buf(s, key, &b, NULL, 0, e);
}

int sample_put_real(struct sample *s, const char *key, double v, struct error *e)
{
    struct buf b;
    buf_init(&b, 64);
    mp_put_real(&b, v);
    return put_buf(s, key, &b, NULL, 0, e);
}

int sample_put_array(struct sample *s, const char *key, const struct array *a, struct error *e)
{
    struct buf b;
    buf_init(&b, 512);
    array_put_head(&b, a);
    return put_buf(s, key, &b, a->data.data, a->data.size, e);
}

void sample_drop(struct sample *s, const char *key)
{
    struct field *f = find(s, key);
    if (!f)
        return;
    memmove(f, f + 1, (size_t)(s->field + s->n - f - 1) * sizeof *f);
    s->n--;
}

static void fail(struct sample *s, const char *stage, const char *message, bool dropped)
{
    /* {"stage": "?", "message": "out of memory"}: for when there is none to say more. */
    static const uint8_t last_resort[] = "\x82\xa5stage\xa1?\xa7message\xadout of memory";
    enum { MESSAGE_MAX = 2000 };
    struct field *id = find(s, "id");
    if (id && id != s->field)
        s->field[0] = *id;
    s->n = id ? 1 : 0;

    struct buf text, b;
    buf_init(&text, 3 * MESSAGE_MAX);
    buf_init(&b, 4 * MESSAGE_MAX);
    text_put_utf8(&text, message, strnlen(message, MESSAGE_MAX));
    mp_put_map(&b, dropped ? 3 : 2);
    mp_put_str(&b, "stage");
    mp_put_str(&b, stage);
    mp_put_str(&b, "message");
    mp_put_strn(&b, (const char *)text.data, text.size);
    if (dropped) {
        mp_put_str(&b, "dropped");
        mp_put_bool(&b, true);
    }
    if (b.failed || text.failed || sample_put_raw(s, "error", span_of(b.data, b.size), NULL) < 0) {
        static const char key[] = "error";
        if (room_make(s, s->n + 1) == 0)
            s->field[s->n++] = (struct field){ span_of(key, 5), span_of(last_resort, sizeof last_resort - 1) };
    }
    buf_release(&text);
    buf_release(&b);
}

void sample_fail(struct sample *s, const char *stage, const char *message) { fail(s, stage, message, false); }
void sample_pass_over(struct sample *s, const char *stage, const char *message) { fail(s, stage, message, true); }

bool sample_error(const struct sample *s, struct sample_error *what)
{
    const struct field *f = find(s, "error");
    struct mp_cursor c = f ? mp_cursor(f->value) : mp_cursor((struct span){ 0 });
    struct mp_value map, key, v;
    *what = (struct sample_error){ 0 };
    if (!f || mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return f != NULL;
    for (uint32_t i = 0; i < map.n && mp_read(&c, &key) == 0 && key.type == MP_STR; i++) {
        struct span value;
        if (mp_skip(&c, &value) < 0)
            break;
        if (mp_read_span(value, &v) < 0)
            continue;
        if (v.type == MP_STR && mp_str_is(&key, "stage"))
            what->stage = v.bytes;
        if (v.type == MP_STR && mp_str_is(&key, "message"))
            what->message = v.bytes;
        what->dropped |= v.type == MP_BOOL && v.b && mp_str_is(&key, "dropped");
    }
    return true;
}
