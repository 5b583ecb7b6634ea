/* tests/unit/narrow_test.c - float32 to float16 and bfloat16 and back, against the widening that reads files */
#include <math.h>
#include <stdint.h>

#include "libcommon/format/safetensors.h"
#include "tests/unit/tap.h"

static float there_and_back(float v, enum st_dtype d)
{
    uint8_t bytes[2];
    float back = 0;
    struct st_tensor t = { .name = (char[]){ "t" }, .dtype = d, .rank = 1, .shape = { 1 }, .data = span_of(bytes, 2) };
    st_from_f32(&v, 1, d, bytes);
    st_to_f32(&t, &back, NULL);
    return back;
}

/* Every 16-bit value but NaNs must survive; and what lies just beside the middle of two must go to the nearer. */
static int wrong_values(enum st_dtype d)
{
    int wrong = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        uint8_t bytes[2] = { (uint8_t)i, (uint8_t)(i >> 8) }, next[2] = { (uint8_t)(i + 1), (uint8_t)((i + 1) >> 8) };
        float a, b;
        struct st_tensor t = { .name = (char[]){ "t" }, .dtype = d, .rank = 1, .shape = { 1 }, .data = span_of(bytes, 2) };
        st_to_f32(&t, &a, NULL);
        t.data = span_of(next, 2);
        st_to_f32(&t, &b, NULL);
        if (isnan(a)) {
            wrong += !isnan(there_and_back(a, d));
            continue;
        }
        wrong += there_and_back(a, d) != a;
        if (isinf(a) || !isfinite(b) || (i & 0x7fff) == 0x7fff)
            continue;
        float middle = (float)(((double)a + (double)b) / 2);
        wrong += there_and_back(middle, d) != (i & 1 ? b : a);      /* a tie goes to the even one */
        if (middle != a && middle != b) {
            wrong += there_and_back(nextafterf(middle, a), d) != a && nextafterf(middle, a) != middle;
            wrong += there_and_back(nextafterf(middle, b), d) != b && nextafterf(middle, b) != middle;
        }
    }
    return wrong;
}

int main(void)
{
    is_int(wrong_values(ST_F16), 0, "float16: all 65536 values, their middles and what lies beside those");
    is_int(wrong_values(ST_BF16), 0, "bfloat16: the same");
    ok(isinf(there_and_back(1e6f, ST_F16)) && there_and_back(65519.0f, ST_F16) == 65504.0f, "float16 ends at 65504");
    ok(there_and_back(-1e-9f, ST_F16) == 0.0f && signbit(there_and_back(-1e-9f, ST_F16)),
       "what is too small becomes 0 of its sign");
    return done();
}
