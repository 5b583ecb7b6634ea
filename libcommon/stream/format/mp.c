/* libcommon/stream/format/mp.c - see mp.h: the cursor is ours, packing is msgpack-c's */
#include "libcommon/stream/format/mp.h"

#include <msgpack.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------- */

/* One object's first bytes: `size` of them, then `body` bytes that are its own, then `items` objects. */
struct head {
    enum mp_type type;
    uint32_t size;
    uint64_t body;
    uint32_t items;
};

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* 0 read; > 0: so many bytes are needed; -1: the byte 0xc1, which is not msgpack. */
static int head_read(const uint8_t *p, size_t n, struct head *h)
{
    /* From 0xc0 on: the type, and the bytes of the length or number that follows. */
    static const struct { uint8_t type, follow; bool length; } table[32] = {
        { MP_NIL, 0, false }, { 0, 0, false }, { MP_BOOL, 0, false }, { MP_BOOL, 0, false },
        { MP_BIN, 1, true }, { MP_BIN, 2, true }, { MP_BIN, 4, true },
        { MP_EXT, 1, true }, { MP_EXT, 2, true }, { MP_EXT, 4, true },
        { MP_REAL, 4, false }, { MP_REAL, 8, false },
        { MP_UINT, 1, false }, { MP_UINT, 2, false }, { MP_UINT, 4, false }, { MP_UINT, 8, false },
        { MP_INT, 1, false }, { MP_INT, 2, false }, { MP_INT, 4, false }, { MP_INT, 8, false },
        { MP_EXT, 0, false }, { MP_EXT, 0, false }, { MP_EXT, 0, false }, { MP_EXT, 0, false }, { MP_EXT, 0, false },
        { MP_STR, 1, true }, { MP_STR, 2, true }, { MP_STR, 4, true },
        { MP_ARRAY, 2, true }, { MP_ARRAY, 4, true }, { MP_MAP, 2, true }, { MP_MAP, 4, true },
    };
    if (!n)
        return 1;
    uint8_t c = p[0];
    *h = (struct head){ .size = 1 };
    if (c < 0x80 || c >= 0xe0) {
        h->type = c < 0x80 ? MP_UINT : MP_INT;
    } else if (c < 0x90) {
        h->type = MP_MAP;
        h->items = c & 15;
    } else if (c < 0xa0) {
        h->type = MP_ARRAY;
        h->items = c & 15;
    } else if (c < 0xc0) {
        h->type = MP_STR;
        h->body = c & 31;
    } else if (c == 0xc1) {
        return -1;
    } else {
        unsigned follow = table[c - 0xc0].follow;
        h->type = (enum mp_type)table[c - 0xc0].type;
        h->size = 1 + follow;
        if (n < h->size)
            return (int)h->size;
        uint64_t length = table[c - 0xc0].length ? big_endian(p + 1, follow) : 0;
        if (h->type == MP_EXT)
            h->body = 1 + (follow ? length : (uint64_t)1 << (c - 0xd4));
        else if (h->type == MP_ARRAY || h->type == MP_MAP)
            h->items = (uint32_t)length;
        else
            h->body = length;
    }
    return 0;
}

static void scalar_read(const uint8_t *p, const struct head *h, struct mp_value *v)
{
    uint64_t raw = big_endian(p + 1, h->size - 1);
    switch (v->type) {
    case MP_BOOL:
        v->b = p[0] == 0xc3;
        break;
    case MP_UINT:
        v->u = h->size == 1 ? p[0] : raw;
        break;
    case MP_INT:
        v->i = h->size == 1 ? (int8_t)p[0]
             : h->size == 2 ? (int8_t)raw
             : h->size == 3 ? (int16_t)raw
             : h->size == 5 ? (int32_t)raw
                            : (int64_t)raw;
        if (v->i >= 0) {                    /* a long form of a small number */
            v->type = MP_UINT;
            v->u = (uint64_t)v->i;
        }
        break;
    case MP_REAL:
        if (h->size == 5) {
            uint32_t bits = (uint32_t)raw;
            float f;
            memcpy(&f, &bits, sizeof f);
            v->r = (double)f;
        } else {
            memcpy(&v->r, &raw, sizeof v->r);
        }
        break;
    default:
        break;
    }
}

int mp_read(struct mp_cursor *c, struct mp_value *v)
{
    struct head h;
    size_t left = (size_t)(c->end - c->p);
    if (head_read(c->p, left, &h) != 0)
        return -1;
    left -= h.size;
    const uint8_t *p = c->p;
    v->type = h.type;
    if (h.type == MP_ARRAY || h.type == MP_MAP) {
        if ((uint64_t)h.items * (h.type == MP_MAP ? 2 : 1) > left)
            return -1;
        v->n = h.items;
    } else if (h.type == MP_STR || h.type == MP_BIN || h.type == MP_EXT) {
        if (h.body > left)
            return -1;
        v->bytes = span_of(p + h.size, (size_t)h.body);
        if (h.type == MP_EXT) {
            v->ext = (int8_t)p[h.size];
            v->bytes = span_of(p + h.size + 1, (size_t)h.body - 1);
        }
    } else {
        scalar_read(p, &h, v);
    }
    c->p = p + h.size + h.body;
    return 0;
}

int mp_walk(struct mp_walk *w, struct span bytes, uint64_t *need)
{
    if (!w->begun) {
        w->begun = true;
        w->left[0] = 1;
    }
    for (;;) {
        while (w->left[w->depth] == 0) {
            if (w->depth > 0) {
                w->depth--;
                continue;
            }
            *need = w->at;
            return w->at <= bytes.size;
        }
        struct head h;
        size_t have = w->at < bytes.size ? bytes.size - (size_t)w->at : 0;
        int got = head_read(have ? bytes.data + w->at : NULL, have, &h);
        if (got < 0)
            return -1;
        if (got > 0) {
            *need = w->at + (uint64_t)got;
            return 0;
        }
        w->left[w->depth]--;
        w->at += h.size + h.body;
        if (!h.items)
            continue;
        if (w->depth == MP_DEPTH || (h.type == MP_MAP && h.items > MP_KEYS))
            return -1;
        if (h.type == MP_ARRAY && h.items > UINT32_MAX / 2)
            return -1;                      /* more than any frame holds */
        w->left[++w->depth] = h.type == MP_MAP ? h.items * 2 : h.items;
    }
}

int mp_walk_map(struct mp_walk *w, struct span bytes, size_t limit, const char *what, uint64_t *need, struct error *e)
{
    *need = 1;
    if (!bytes.size)
        return 0;
    if ((bytes.data[0] & 0xf0) != 0x80 && bytes.data[0] != 0xde && bytes.data[0] != 0xdf)
        return error_set(e, STATUS_BAD, "%s was expected", what);
    int got = mp_walk(w, span_of(bytes.data, bytes.size < limit ? bytes.size : limit), need);
    if (got < 0)
        return error_set(e, STATUS_BAD, "%s was expected, but this is no msgpack, or nested too deep", what);
    if (*need > limit)
        return error_set(e, STATUS_BAD, "%s was expected, but this is larger than %zu bytes", what, limit);
    return got;
}

int mp_skip(struct mp_cursor *c, struct span *whole)
{
    struct mp_walk w = { .at = 0 };
    uint64_t need;
    struct span rest = span_of(c->p, (size_t)(c->end - c->p));
    if (mp_walk(&w, rest, &need) != 1)
        return -1;
    if (whole)
        *whole = span_of(c->p, (size_t)w.at);
    c->p += w.at;
    return 0;
}

int mp_read_span(struct span object, struct mp_value *v)
{
    struct mp_cursor c = mp_cursor(object);
    return mp_read(&c, v);
}

bool mp_to_i64(const struct mp_value *v, int64_t *to)
{
    if (v->type == MP_INT)
        *to = v->i;
    else if (v->type == MP_UINT && v->u <= INT64_MAX)
        *to = (int64_t)v->u;
    else
        return false;
    return true;
}

bool mp_to_u64(const struct mp_value *v, uint64_t *to)
{
    if (v->type != MP_UINT)
        return false;
    *to = v->u;
    return true;
}

bool mp_to_real(const struct mp_value *v, double *to)
{
    if (v->type == MP_REAL)
        *to = v->r;
    else if (v->type == MP_INT)
        *to = (double)v->i;
    else if (v->type == MP_UINT)
        *to = (double)v->u;
    else
        return false;
    return true;
}

/* --- writing ------------------------------------------------------------------------ */
static int to_buf(void *b, const char *data, size_t n)
{
    buf_append(b, data, n);
    return 0;                               /* the buf remembers that it failed */
}

static msgpack_packer packer(struct buf *b)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, to_buf);
    return pk;
}

/* Lengths that msgpack cannot say must not be cut to 32 bits. */
static bool too_long(struct buf *b, size_t n)
{
    if (n > UINT32_MAX)
        b->failed = true;
    return n > UINT32_MAX;
}

void mp_put_nil(struct buf *b)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_nil(&pk);
}

void mp_put_bool(struct buf *b, bool v)
{
    msgpack_packer pk = packer(b);
    if (v)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void mp_put_int(struct buf *b, int64_t v)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_int64(&pk, v);
}

void mp_put_uint(struct buf *b, uint64_t v)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_uint64(&pk, v);
}

void mp_put_real(struct buf *b, double v)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_double(&pk, v);
}

void mp_put_str(struct buf *b, const char *text) { mp_put_strn(b, text, strlen(text)); }

void mp_put_strn(struct buf *b, const char *text, size_t n)
{
    if (too_long(b, n))
        return;
    msgpack_packer pk = packer(b);
    msgpack_pack_str(&pk, n);
    buf_append(b, text, n);
}

void mp_put_bin_head(struct buf *b, size_t n)
{
    if (too_long(b, n))
        return;
    msgpack_packer pk = packer(b);
    msgpack_pack_bin(&pk, n);
}

void mp_put_bin(struct buf *b, const void *data, size_t n)
{
    mp_put_bin_head(b, n);
    buf_append(b, data, n);
}

void mp_put_array(struct buf *b, uint32_t n)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_array(&pk, n);
}

void mp_put_map(struct buf *b, uint32_t n)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_map(&pk, n);
}
