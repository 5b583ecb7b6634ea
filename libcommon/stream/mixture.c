/* libcommon/stream/mixture.c - see mixture.h */
#include "libcommon/stream/mixture.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/stream/format/mp.h"
#include "libcommon/sys/log.h"

/* One token of each; false: they are unlike. */
static bool token_pair(struct mp_cursor *a, struct mp_cursor *b, struct mp_value *v)
{
    struct mp_value w;
    const uint8_t *from = a->p, *other = b->p;
    if (mp_read(a, v) < 0 || mp_read(b, &w) < 0)
        return false;
    size_t n = (size_t)(a->p - from);
    return (size_t)(b->p - other) == n && !memcmp(from, other, n);
}

static void text_of(struct span object, char *to, size_t size)
{
    struct mp_value v;
    bool text = mp_read_span(object, &v) == 0 && v.type == MP_STR;
    snprintf(to, size, "%.*s", text ? (int)(v.bytes.size < size ? v.bytes.size : size - 1) : 1,
             text ? (const char *)v.bytes.data : "?");
}

enum headers_are headers_compare(struct span a, struct span b, char *what, size_t size)
{
    struct mp_cursor x = mp_cursor(a), y = mp_cursor(b);
    struct mp_value v;
    struct span stage = { 0 }, mine, other;
    bool name = false, mixed = false;
    while (x.p < x.end && y.p < y.end) {
        if (!token_pair(&x, &y, &v))
            return HEADERS_DIFFER;
        if (name && v.type == MP_STR)
            stage = v.bytes;
        name = mp_str_is(&v, "name");
        if (!mp_str_is(&v, STAGE_KERNELS))
            continue;
        if (mp_skip(&x, &mine) < 0 || mp_skip(&y, &other) < 0)
            return HEADERS_DIFFER;
        if (!mixed && (mine.size != other.size || memcmp(mine.data, other.data, mine.size))) {
            char one[32], two[32];
            text_of(mine, one, sizeof one);
            text_of(other, two, sizeof two);
            snprintf(what, size, "%.*s: %s beside %s", (int)(stage.size < 64 ? stage.size : 64),
                     stage.data ? (const char *)stage.data : "", one, two);
            mixed = true;
        }
    }
    return x.p < x.end || y.p < y.end ? HEADERS_DIFFER : mixed ? HEADERS_MIXED : HEADERS_SAME;
}

bool headers_agree(struct span a, struct span b, bool *told)
{
    char what[200];
    if (a.size == b.size && !memcmp(a.data, b.data, a.size))
        return true;
    enum headers_are are = headers_compare(a, b, what, sizeof what);
    if (are == HEADERS_MIXED && !*told) {
        *told = true;
        warn("hosts of several instruction sets contribute (%s): the last bits of a sample may depend on who "
             "computed it, and so may "
             "those of the weights; hosts of one kind do not have that", what);
    }
    return are != HEADERS_DIFFER;
}
