/* libcommon/stream/crew/body.c - see body.h */
#include "libcommon/stream/crew/body.h"

#include "libcommon/stream/format/unit.h"

int body_enter(struct mp_cursor *c, uint64_t k)
{
    struct mp_value v;
    if (mp_read(c, &v) < 0 || v.type != MP_MAP || v.n != 1 || mp_read(c, &v) < 0 || !mp_str_is(&v, "samples") ||
        mp_read(c, &v) < 0 || v.type != MP_ARRAY || v.n != k)
        return -1;
    return 0;
}

int body_sample_failed(struct mp_cursor *c)
{
    struct mp_value v, key;
    int error = 0;
    if (mp_read(c, &v) < 0 || v.type != MP_MAP)
        return -1;
    for (uint32_t i = 0; i < v.n; i++) {
        if (mp_read(c, &key) < 0 || key.type != MP_STR || mp_skip(c, NULL) < 0)
            return -1;
        error |= mp_str_is(&key, "error");
    }
    return error;
}

int64_t body_failed(struct span body, uint64_t k)
{
    struct mp_cursor c = mp_cursor(body);
    int64_t failed = 0;
    if (body_enter(&c, k) < 0)
        return -1;
    for (uint64_t i = 0; i < k; i++) {
        int one = body_sample_failed(&c);
        if (one < 0)
            return -1;
        failed += one;
    }
    return c.p == c.end ? failed : -1;
}

struct blob *body_make(uint64_t k, struct span samples)
{
    struct buf b;
    buf_init(&b, UNIT_MAX + 64);
    mp_put_map(&b, 1);
    mp_put_str(&b, "samples");
    mp_put_array(&b, (uint32_t)k);
    buf_append(&b, samples.data, samples.size);
    struct blob *body = b.failed ? NULL : blob_copy(span_of(b.data, b.size));
    buf_release(&b);
    return body;
}
