/* tests/unit/mixture_test.c - headers that differ in the instruction set alone are told from those that differ in more */
#include "libcommon/stream/mixture.h"
#include "libcommon/stream/stream.h"
#include "tap.h"

static struct header made(const char *kernels, int64_t bands, const char *last)
{
    static const uint8_t run[16] = { 1 };
    struct header h;
    struct error e;
    struct stage st;
    stage_init(&st, "gcs-fetch");
    header_make(&h, run, 7, 1, &st, &e);
    stage_release(&st);
    stage_init(&st, "mel-features");
    stage_put_int(&st, "feature_size", bands);
    stage_put_str(&st, STAGE_KERNELS, kernels);
    header_append(&h, &st, &e);
    stage_release(&st);
    stage_init(&st, last);
    stage_put_bool(&st, "keep", true);
    header_append(&h, &st, &e);
    stage_release(&st);
    return h;
}

static enum headers_are compare(struct header a, struct header b, char what[200])
{
    *what = 0;
    enum headers_are are = headers_compare(span_of(a.map.data, a.map.size), span_of(b.map.data, b.map.size), what, 200);
    header_release(&a);
    header_release(&b);
    return are;
}

int main(void)
{
    char what[200];
    is_int(compare(made("avx2", 80, "tokenize"), made("avx2", 80, "tokenize"), what), HEADERS_SAME,
           "equal headers are the same");
    is_int(compare(made("avx2", 80, "tokenize"), made("avx512", 80, "tokenize"), what), HEADERS_MIXED,
           "another instruction set is a mixture");
    is_str(what, "mel-features: avx2 beside avx512", "which says whose");
    is_int(compare(made("avx2", 80, "tokenize"), made("avx2", 128, "tokenize"), what), HEADERS_DIFFER,
           "another option is another header");
    is_int(compare(made("avx2", 80, "tokenize"), made("avx512", 128, "tokenize"), what), HEADERS_DIFFER,
           "also beside another instruction set");
    is_int(compare(made("avx2", 80, "tokenize"), made("neon", 80, "tokenise"), what), HEADERS_DIFFER,
           "so is another stage behind it");
    struct header a = made("avx2", 80, "tokenize"), b = made("avx512", 80, "tokenize");
    bool good = true;
    for (size_t n = 0; n < b.map.size; n++)
        good &= headers_compare(span_of(a.map.data, a.map.size), span_of(b.map.data, n), what,
                                sizeof what) == HEADERS_DIFFER;
    ok(good, "a header that is cut anywhere is another");
    header_release(&a);
    header_release(&b);
    return done();
}
