/* tests/bench/tokenizer_bench.c - how fast a tokenizer loads, encodes and decodes, one thread
 *
 * Usage: tokenizer_bench tokenizer.json TEXT.  The text goes in as its paragraphs
 * would, in pieces of about 4000 bytes, with special tokens recognised; the encoder is new
 * for each of five passes, so that its cache of words starts empty.  Best of five, processor time. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/text/tokenizer/tokenizer.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    char *s;

    if (!f || fseek(f, 0, SEEK_END)) {
        fprintf(stderr, "tokenizer_bench: cannot read %s\n", path);
        exit(1);
    }
    *n = (size_t)ftell(f);
    rewind(f);
    s = malloc(*n + 1);
    if (!s || fread(s, 1, *n, f) != *n)
        exit(1);
    fclose(f);
    return s;
}

/* Pieces end before a newline or, without one in reach, where a character ends. */
static size_t piece(const char *s, size_t n)
{
    size_t size = n < 4000 ? n : 4000;

    while (size < n && size < 8000 && s[size] != '\n')
        size++;
    while (size < n && ((unsigned char)s[size] & 0xc0) == 0x80)
        size++;
    return size;
}

int main(int argc, char **argv)
{
    char why[WHY], *json, *text;
    size_t json_size, size;
    double load = 1e9, enc = 1e9, dec = 1e9;
    struct tokenizer *t = NULL;
    struct tokens ids = { 0 };

    if (argc != 3)
        return 1;
    json = slurp(argv[1], &json_size);
    text = slurp(argv[2], &size);
    for (int i = 0; i < 5; i++) {
        double from = now();
        tokenizer_free(t);
        t = tokenizer_new(json, json_size, why);
        load = now() - from < load ? now() - from : load;
        if (!t) {
            fprintf(stderr, "tokenizer_bench: %s: %s\n", argv[1], why);
            return 1;
        }
    }
    for (int i = 0; i < 5; i++) {
        struct encoder *e = encoder_new(t);
        struct text back = { 0 };
        double from = now(), middle;
        ids.n = 0;
        for (size_t at = 0, n; at < size; at += n) {
            n = piece(text + at, size - at);
            if (encode(e, text + at, n, ADDED_ALL, &ids, why)) {
                fprintf(stderr, "tokenizer_bench: %s\n", why);
                return 1;
            }
        }
        middle = now();
        decode(t, ids.id, ids.n, false, &back, why);
        enc = middle - from < enc ? middle - from : enc;
        dec = now() - middle < dec ? now() - middle : dec;
        text_release(&back);
        encoder_free(e);
    }
    printf("{\"load_s\": %.3f, \"encode_MB_s\": %.1f, \"decode_MB_s\": %.1f, \"tokens\": %zu, \"bytes\": %zu}\n", load,
           (double)size / enc / 1e6, (double)size / dec / 1e6, ids.n, size);
    tokens_release(&ids);
    tokenizer_free(t);
    free(json);
    free(text);
    return 0;
}
