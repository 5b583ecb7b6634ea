/* tests/unit/mp_test.c - msgpack's every form, read within bounds */
#include "libcommon/stream/format/mp.h"
#include "tap.h"

#include <stdint.h>
#include <stdlib.h>

static struct buf b;

static struct span bytes(void) { return span_of(b.data, b.size); }

/* The hexadecimal digits of what was put, to compare with the specification's examples. */
static const char *hex(void)
{
    static char text[4096];
    for (size_t i = 0; i < b.size && i < 2000; i++)
        snprintf(text + 2 * i, 3, "%02x", b.data[i]);
    text[2 * b.size] = 0;
    buf_clear(&b);
    return text;
}

static void forms(void)
{
    static const struct { int64_t v; const char *want; } ints[] = {
        { 0, "00" }, { 127, "7f" }, { 128, "cc80" }, { 255, "ccff" }, { 256, "cd0100" }, { 65536, "ce00010000" },
        { (int64_t)1 << 32, "cf0000000100000000" }, { -1, "ff" }, { -32, "e0" }, { -33, "d0df" }, { -129, "d1ff7f" },
        { -32769, "d2ffff7fff" }, { INT64_MIN, "d38000000000000000" },
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        mp_put_int(&b, ints[i].v);
        struct mp_value v;
        int64_t back = 1;
        bool read = mp_read_span(bytes(), &v) == 0 && mp_to_i64(&v, &back) && back == ints[i].v;
        char name[60];
        snprintf(name, sizeof name, "%lld in its shortest form", (long long)ints[i].v);
        is_str(hex(), ints[i].want, name);
        ok(read, "and back");
    }
    mp_put_uint(&b, UINT64_MAX);
    struct mp_value v;
    uint64_t u;
    int64_t i;
    ok(mp_read_span(bytes(), &v) == 0 && mp_to_u64(&v, &u) && u == UINT64_MAX && !mp_to_i64(&v, &i),
       "the largest number is no int64");
    buf_clear(&b);
    mp_put_real(&b, 0.1);
    double r;
    ok(mp_read_span(bytes(), &v) == 0 && mp_to_real(&v, &r) && r == 0.1, "a double and back");
    is_str(hex(), "cb3fb999999999999a", "in eight bytes, big-endian");
    buf_append(&b, "\xca\x3f\xc0\x00\x00", 5);
    ok(mp_read_span(bytes(), &v) == 0 && mp_to_real(&v, &r) && r == 1.5, "a float of four bytes is read");
    buf_clear(&b);
    buf_append(&b, "\xd1\x00\x05", 3);
    ok(mp_read_span(bytes(), &v) == 0 && mp_to_u64(&v, &u) && u == 5, "a positive number in a signed form is read");
    buf_clear(&b);
    mp_put_nil(&b), mp_put_bool(&b, true), mp_put_bool(&b, false), mp_put_str(&b, "a"), mp_put_bin(&b, "a", 1),
        mp_put_map(&b, 0), mp_put_array(&b, 2);
    is_str(hex(), "c0c3c2a161c401618092", "nil, bool, str, bin, map, array");
}

static void lengths(void)
{
    static const size_t sizes[] = { 0, 31, 32, 255, 256, 65535, 65536 };
    char *text = malloc(65536);
    memset(text, 'x', 65536);
    int wrong = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int bin = 0; bin < 2; bin++) {
            struct mp_cursor c;
            struct mp_value v;
            struct span whole;
            buf_clear(&b);
            if (bin)
                mp_put_bin(&b, text, sizes[i]);
            else
                mp_put_strn(&b, text, sizes[i]);
            c = mp_cursor(bytes());
            wrong += mp_read(&c, &v) != 0 || v.type != (bin ? MP_BIN : MP_STR) || v.bytes.size != sizes[i] || c.p != c.end;
            c = mp_cursor(bytes());
            wrong += mp_skip(&c, &whole) != 0 || whole.size != b.size;
            c = mp_cursor(span_of(b.data, b.size - 1));
            wrong += mp_skip(&c, NULL) != -1 || mp_read(&c, &v) != -1;
        }
    ok(wrong == 0, "strings of every length class are read whole, and not when a byte is missing (%d wrong)", wrong);
    free(text);
    buf_clear(&b);
}

/* Every object that the first byte can announce, alone: never read past its end. */
static void announced(void)
{
    int wrong = 0;
    for (int first = 0; first < 256; first++) {
        uint8_t *one = malloc(1);           /* so that a sanitizer sees one byte too far */
        *one = (uint8_t)first;
        struct mp_cursor c = mp_cursor(span_of(one, 1));
        struct mp_value v;
        bool whole = first < 0x80 || first >= 0xe0 || first == 0x80 || first == 0x90 || first == 0xa0 ||
                     first == 0xc0 || first == 0xc2
                  || first == 0xc3;
        wrong += (mp_read(&c, &v) == 0) != whole;
        c = mp_cursor(span_of(one, 1));
        wrong += (mp_skip(&c, NULL) == 0) != whole;
        free(one);
    }
    ok(wrong == 0, "a first byte alone is read only if nothing has to follow (%d wrong)", wrong);
}

static void bombs(void)
{
    struct mp_cursor c;
    struct mp_value v;
    mp_put_array(&b, UINT32_MAX);
    c = mp_cursor(bytes());
    ok(mp_read(&c, &v) < 0, "an array of more items than bytes are left is refused");
    buf_clear(&b);
    for (int depth = 15; depth <= 17; depth++) {
        buf_clear(&b);
        for (int i = 0; i < depth; i++)
            mp_put_array(&b, 1);
        mp_put_nil(&b);
        c = mp_cursor(bytes());
        ok((mp_skip(&c, NULL) == 0) == (depth <= MP_DEPTH), "%d arrays in each other are %s", depth,
           depth <= MP_DEPTH ? "read" : "refused");
    }
    buf_clear(&b);
    mp_put_map(&b, MP_KEYS + 1);
    for (int i = 0; i < 2 * (MP_KEYS + 1); i++)
        mp_put_nil(&b);
    c = mp_cursor(bytes());
    ok(mp_skip(&c, NULL) < 0, "a map of too many keys is refused");
    buf_clear(&b);
    struct buf small;
    buf_init(&small, 10);
    mp_put_str(&small, "longer than ten bytes");
    ok(small.failed, "writing over a buffer's limit marks it failed");
    buf_release(&small);
}

static void arriving(void)
{
    mp_put_map(&b, 2);
    mp_put_str(&b, "list");
    mp_put_array(&b, 3);
    mp_put_int(&b, 1000), mp_put_str(&b, "two"), mp_put_map(&b, 0);
    mp_put_str(&b, "bytes");
    mp_put_bin(&b, "0123456789", 10);
    struct mp_walk w = { .at = 0 };
    uint64_t need = 0;
    int wrong = 0;
    for (size_t n = 0; n < b.size; n++)
        wrong += mp_walk(&w, span_of(b.data, n), &need) != 0 || need <= n || need > b.size;
    ok(wrong == 0, "an object that arrives byte by byte needs more until its last (%d wrong)", wrong);
    ok(mp_walk(&w, bytes(), &need) == 1 && w.at == b.size, "and is whole then");
    buf_append(&b, "\x01", 1);
    w = (struct mp_walk){ .at = 0 };
    ok(mp_walk(&w, bytes(), &need) == 1 && w.at == b.size - 1, "what follows is not part of it");
    buf_clear(&b);
}

int main(void)
{
    buf_init(&b, 1 << 20);
    forms();
    lengths();
    announced();
    bombs();
    arriving();
    buf_release(&b);
    return done();
}
