/* tests/fuzz/normalize_fuzz.c - any bytes through every normaliser, and compared with themselves */
#include "kernels/text/normalize/normalize.h"
#include "kernels/text/wer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int i = 0; i < 6; i++) {
        struct normalizer n = {i < 4 ? NORMALIZER_BASIC : i < 5 ? NORMALIZER_ENGLISH : NORMALIZER_NONE, i & 1, i & 2, NULL};
        struct text out = {0};
        struct wer_count c = {0};
        if (normalize(&n, (const char *)data, size, &out) < 0)
            __builtin_trap();
        const char *s = out.s ? out.s : "";
        if (out.n < 2000 && (wer_words(&c, s, out.n, s, out.n) < 0 || wer_characters(&c, s, out.n, s, out.n) < 0 ||
                             wer_errors(&c)))
            __builtin_trap();
        text_release(&out);
    }
    return 0;
}
