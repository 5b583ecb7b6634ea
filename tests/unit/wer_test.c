/* tests/unit/wer_test.c - error counts as jiwer makes them */
#include "kernels/text/wer.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/sys/file.h"
#include "tests/unit/tap.h"

typedef int counter(struct wer_count *c, const char *a, size_t n, const char *b, size_t m);

static void add(struct wer_count *c, const json_t *ref, const json_t *hyp, counter *count)
{
    count(c, json_string_value(ref), json_string_length(ref), json_string_value(hyp), json_string_length(hyp));
}

static bool row_is(const json_t *row, const char *key, counter *count)
{
    const json_t *ref = json_object_get(row, "ref"), *hyp = json_object_get(row, "hyp"), *want = json_object_get(row, key);
    struct wer_count c = {0};
    if (json_is_string(ref))
        add(&c, ref, hyp, count);
    for (size_t i = 0; i < json_array_size(ref); i++)
        add(&c, json_array_get(ref, i), json_array_get(hyp, i), count);
    uint64_t s = (uint64_t)json_integer_value(json_object_get(want, "S")), d = (uint64_t)json_integer_value(json_object_get(want, "D")),
             i = (uint64_t)json_integer_value(json_object_get(want, "I")), n = (uint64_t)json_integer_value(json_object_get(want, "N"));
    bool pass = wer_errors(&c) == s + d + i && wer_length(&c) == n &&
                fabs(wer_rate(&c) - json_number_value(json_object_get(want, "rate"))) <= 1e-12;
    if (json_is_true(json_object_get(row, "unique")))
        pass = pass && c.substitutions == s && c.deletions == d && c.insertions == i;
    if (!pass) {
        char *text = json_dumps(row, 0);
        printf("# %s: S %llu D %llu I %llu, length %llu: %s\n", key, (unsigned long long)c.substitutions, (unsigned long long)c.deletions,
               (unsigned long long)c.insertions, (unsigned long long)wer_length(&c), text);
        free(text);
    }
    return pass;
}

static void golden(void)
{
    struct buf b;
    struct error e;
    buf_init(&b, 1 << 20);
    if (!ok(file_read("tests/golden/tokenizer-normalizer/wer.jsonl", &b, &e) == 0, "the golden rows are read"))
        return;
    int rows = 0, words = 0, characters = 0;
    char *save, *text = (char *)b.data;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), rows++) {
        json_t *row = json_parse(span_of(line, strlen(line)), "wer.jsonl", &e);
        words += row_is(row, "words", wer_words);
        characters += row_is(row, "chars", wer_characters);
        json_decref(row);
    }
    is_int(rows, 160, "golden rows");
    is_int(words, rows, "words");
    is_int(characters, rows, "characters");
    buf_release(&b);
}

/* The cost by its definition, without a table. */
static uint64_t slow(const char *a, const char *b)
{
    if (!*a || !*b)
        return strlen(*a ? a : b);
    uint64_t swap = slow(a + 1, b + 1) + (*a != *b), drop = slow(a + 1, b) + 1, put = slow(a, b + 1) + 1;
    uint64_t least = swap < drop ? swap : drop;
    return least < put ? least : put;
}

static void against_definition(void)
{
    bool good = true;
    for (int round = 0; round < 300; round++) {
        char a[8] = "", b[8] = "";
        for (int i = 0; i < rand() % 7; i++)
            a[i] = (char)('a' + rand() % 3);
        for (int i = 0; i < rand() % 7; i++)
            b[i] = (char)('a' + rand() % 3);
        struct wer_count c = {0};
        wer_characters(&c, a, strlen(a), b, strlen(b));
        good = good && wer_errors(&c) == slow(a, b) && wer_length(&c) == strlen(a) &&
               c.hits + c.substitutions + c.insertions == strlen(b);
    }
    ok(good, "300 pairs cost what the definition says, and their lengths add up");
}

int main(void)
{
    golden();
    against_definition();
    size_t n = 3000;
    char *a = malloc(2 * n), *b = malloc(2 * n);
    for (size_t i = 0; i < n; i++) {
        a[2 * i] = (char)('a' + i % 26);
        b[2 * i] = (char)('a' + (i + 1) % 26);
        a[2 * i + 1] = b[2 * i + 1] = ' ';
    }
    struct wer_count c = {0};
    ok(wer_words(&c, a, 2 * n, b, 2 * n) == 0 && c.deletions == 1 && c.insertions == 1 && c.hits == n - 1, "3,000 words, shifted by one");
    free(a);
    free(b);
    struct wer_count none = {0};
    ok(wer_rate(&none) == 0 && wer_words(&none, "", 0, "a b", 3) == 0 && wer_rate(&none) == 2, "of an empty reference the rate is its errors");
    return done();
}
