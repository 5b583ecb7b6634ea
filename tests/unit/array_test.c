/* tests/unit/array_test.c - arrays as msgpack-numpy writes them, and those that are refused */
#include "libcommon/stream/format/array.h"
#include "tap.h"

static struct buf b;

/* What msgpack-numpy 0.4.8 writes for numpy.array([[1, 2, 3]], dtype="<f4"). */
static const uint8_t from_python[] =
    "\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f4\xc4\x04kind\xc4\x00\xc4\x05shape\x92\x01\x03\xc4\x04""data\xc4\x0c"
    "\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40";

static int read_span(struct span s, struct array *a, const char **why)
{
    *why = "";
    return array_read(s, a, why);
}

static void python_bytes(void)
{
    struct array a;
    const char *why;
    struct span s = span_of(from_python, sizeof from_python - 1);
    ok(array_is(s) && read_span(s, &a, &why) == 0 && a.type == ARRAY_F32 && a.rank == 2 && a.shape[0] == 1 && a.shape[1] == 3
           && array_at(&a, 2) == 3,
       "an array that Python wrote is read");
    array_put(&b, &a);
    ok(b.size == s.size && !memcmp(b.data, s.data, s.size), "and written with the same bytes");
    buf_clear(&b);
    int wrong = 0;
    for (size_t n = 0; n < s.size; n++)
        wrong += read_span(span_of(s.data, n), &a, &why) != -1;
    ok(wrong == 0, "cut at any byte it is refused (%d not)", wrong);
}

static void all_types(void)
{
    static const uint8_t data[16] = { 0, 0, 0, 0, 0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0, 0, 0, 0 };
    for (int t = ARRAY_F32; t <= ARRAY_BF16; t++) {
        struct array a = { .type = (enum array_type)t, .rank = 1 }, back;
        const char *why;
        a.shape[0] = 16 / array_item_size(a.type);
        a.data = span_of(data, 16);
        array_put(&b, &a);
        ok(read_span(span_of(b.data, b.size), &back, &why) == 0 && back.type == a.type && back.shape[0] == a.shape[0]
               && !memcmp(back.data.data, data, 16),
           "an array of %s comes back %s", array_dtype_name(a.type), why);
        buf_clear(&b);
    }
    struct array a = { .type = ARRAY_BF16, .rank = 1, .shape = { 8 }, .data = span_of(data, 16) };
    ok(array_at(&a, 3) == 1, "bfloat16 3f80 is 1");
    a.type = ARRAY_I32;
    ok(array_at(&a, 1) == 0x3f800000, "int32 is whole");
}

/* An array map with one part replaced. */
struct parts {
    const char *type, *kind;
    uint64_t shape[2];
    uint32_t rank;
    size_t bytes;
    bool twice, str_keys;
};

static void key(const struct parts *p, const char *name)
{
    if (p->str_keys)
        mp_put_str(&b, name);
    else
        mp_put_bin(&b, name, strlen(name));
}

static const char *refusal(struct parts p)
{
    static uint8_t data[64];
    struct array a;
    const char *why = "";
    buf_clear(&b);
    mp_put_map(&b, 5 + p.twice);
    key(&p, "nd"), mp_put_bool(&b, true);
    for (int i = 0; i <= p.twice; i++)
        key(&p, "type"), mp_put_str(&b, p.type);
    key(&p, "kind"), mp_put_bin(&b, p.kind, strlen(p.kind));
    key(&p, "shape"), mp_put_array(&b, p.rank);
    for (uint32_t i = 0; i < p.rank; i++)
        mp_put_uint(&b, i < 2 ? p.shape[i] : 1);
    key(&p, "data"), mp_put_bin(&b, data, p.bytes);
    return array_read(span_of(b.data, b.size), &a, &why) < 0 ? why : "read";
}

static void refused(void)
{
    struct parts good = { "<f4", "", { 2, 3 }, 2, 24, false, false }, p;
    is_str(refusal(good), "read", "a good array is read");
    p = good, p.kind = "O";
    ok(strstr(refusal(p), "kind 'O'") != NULL, "an array of objects, which Python would unpickle, is refused");
    p = good, p.type = ">f4";
    ok(strstr(refusal(p), "type") != NULL, "a big-endian array is refused");
    p = good, p.bytes = 23;
    ok(strstr(refusal(p), "not as long") != NULL, "data shorter than the shape is refused");
    p = good, p.bytes = 25;
    ok(strstr(refusal(p), "not as long") != NULL, "data longer than the shape is refused");
    p = good, p.shape[0] = (uint64_t)1 << 62;
    ok(strstr(refusal(p), "overflow") != NULL, "a shape that overflows is refused");
    p = good, p.shape[0] = 0, p.shape[1] = UINT64_MAX, p.bytes = 0;
    is_str(refusal(p), "read", "an array without items is read, whatever its other sizes");
    p = good, p.rank = 9;
    ok(strstr(refusal(p), "8 dimensions") != NULL, "nine dimensions are refused");
    p = good, p.twice = true;
    ok(strstr(refusal(p), "twice") != NULL, "a key twice is refused");
    p = good, p.str_keys = true;
    ok(strstr(refusal(p), "not bin") != NULL, "text keys, which msgpack-numpy would not decode, are refused");
    buf_clear(&b);
}

int main(void)
{
    buf_init(&b, 1 << 16);
    python_bytes();
    all_types();
    refused();
    buf_release(&b);
    return done();
}
