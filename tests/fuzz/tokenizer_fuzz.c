/* tests/fuzz/tokenizer_fuzz.c - any bytes as a tokenizer.json; what loads encodes and decodes
 *
 * A tokenizer that loads must encode any text, and plain tokens must follow that text byte by byte. */
#include <stdlib.h>
#include <string.h>

#include "kernels/text/tokenizer/tokenizer.h"
#include "kernels/text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum added modes[] = { ADDED_NONE, ADDED_ORDINARY, ADDED_ALL };
    char why[WHY];
    struct tokenizer *t = tokenizer_new((const char *)data, size, why);
    struct encoder *e;
    /* the file's own end is the text: the mutator reaches both with one input */
    size_t n = size < 200 ? size : 200;
    const char *text = (const char *)data + size - n;

    if (!t)
        return 0;
    e = encoder_new(t);
    while (n && utf8_valid(text, n) < n) {
        text++;
        n--;
    }
    for (size_t i = 0; e && i < sizeof modes / sizeof *modes; i++) {
        struct tokens ids = { 0 };
        struct text back = { 0 };
        size_t *end;
        if (encode(e, text, n, modes[i], &ids, why))
            abort();
        end = calloc(ids.n + 1, sizeof *end);
        if (end && modes[i] == ADDED_NONE && encode_offsets(t, ids.id, ids.n, text, n, end))
            abort();
        if (decode(t, ids.id, ids.n, i == 1, &back, why))
            abort();
        free(end);
        tokens_release(&ids);
        text_release(&back);
    }
    encoder_free(e);
    tokenizer_free(t);
    return 0;
}
