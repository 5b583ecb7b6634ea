/* tests/unit/wer_test.c - error counts as jiwer makes them */
#include "kernels/text/align.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    uint64_t s = (uint64_t)json_integer_value(json_object_get(want, "S")),
             d = (uint64_t)json_integer_value(json_object_get(want, "D")),
             i = (uint64_t)json_integer_value(json_object_get(want, "I")),
               n = (uint64_t)json_integer_value(json_object_get(want, "N"));
    bool pass = wer_errors(&c) == s + d + i && wer_length(&c) == n &&
                fabs(wer_rate(&c) - json_number_value(json_object_get(want, "rate"))) <= 1e-12;
    if (json_is_true(json_object_get(row, "unique")))
        pass = pass && c.substitutions == s && c.deletions == d && c.insertions == i;
    if (!pass) {
        char *text = json_dumps(row, 0);
        printf("# %s: S %llu D %llu I %llu, length %llu: %s\n", key, (unsigned long long)c.substitutions,
               (unsigned long long)c.deletions,
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

/* The whole table, cell by cell, and of equal costs the same choice. */
struct cell {
    uint64_t cost, substitutions, deletions, insertions;
};

static struct wer_count plain(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    struct cell *row = malloc((m + 1) * sizeof *row);
    for (size_t j = 0; j <= m; j++)
        row[j] = (struct cell){j, 0, 0, j};
    for (size_t i = 1; i <= n; i++) {
        struct cell diagonal = row[0];
        row[0] = (struct cell){i, 0, i, 0};
        for (size_t j = 1; j <= m; j++) {
            struct cell best = diagonal, up = row[j], left = row[j - 1];
            best.substitutions += a[i - 1] != b[j - 1];
            best.cost += a[i - 1] != b[j - 1];
            if (up.cost + 1 < best.cost)
                best = (struct cell){up.cost + 1, up.substitutions, up.deletions + 1, up.insertions};
            if (left.cost + 1 < best.cost)
                best = (struct cell){left.cost + 1, left.substitutions, left.deletions, left.insertions + 1};
            diagonal = row[j];
            row[j] = best;
        }
    }
    struct wer_count c = {row[m].substitutions, row[m].deletions, row[m].insertions,
                           n - row[m].substitutions - row[m].deletions};
    free(row);
    return c;
}

static bool as_plain(size_t n, size_t m, unsigned symbols)
{
    uint32_t *a = malloc((n + 1) * sizeof *a), *b = malloc((m + 1) * sizeof *b);
    for (size_t i = 0; i < n; i++)
        a[i] = (uint32_t)rand() % symbols * 77777;
    for (size_t j = 0; j < m; j++)                      /* half of it is what stands about there in a */
        b[j] = n && rand() % 2 ? a[(j + (size_t)rand() % 3) % n] : (uint32_t)rand() % symbols * 77777;
    struct wer_count got = {0}, want = plain(a, n, b, m);
    bool same = align(&got, a, n, b, m) == 0 && !memcmp(&got, &want, sizeof got);
    free(a);
    free(b);
    return same;
}

static void against_the_table(void)
{
    bool good = true;
    for (int round = 0; round < 2000; round++)
        good = good && as_plain((size_t)rand() % 200, (size_t)rand() % 200, 1u + (unsigned)rand() % (round % 2 ? 4 : 50));
    ok(good, "2,000 pairs have the counts of the plain table, also where costs are equal");
    ok(as_plain(3000, 2500, 2) && as_plain(2500, 3000, 1000), "and long ones, whose way back is in stretches");
}

/* Nothing of the one is in the other but every hundredth word. */
static void long_row(void)
{
    size_t n = 100000;
    uint32_t *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
    for (size_t i = 0; i < n; i++) {
        a[i] = (uint32_t)i;
        b[i] = (uint32_t)(i % 100 ? i + n : i);
    }
    struct wer_count c = {0};
    clock_t began = clock();
    ok(align(&c, a, n, b, n) == 0 && c.hits == n / 100 && c.substitutions == n - n / 100,
       "100,000 words against 100,000 others");
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    ok(seconds <= 20, "take seconds, not the minutes of a whole table");
    printf("# %.1f s\n", seconds);
    free(a);
    free(b);
}

int main(void)
{
    golden();
    against_definition();
    against_the_table();
    long_row();
    size_t n = 3000;
    char *a = malloc(2 * n), *b = malloc(2 * n);
    for (size_t i = 0; i < n; i++) {
        a[2 * i] = (char)('a' + i % 26);
        b[2 * i] = (char)('a' + (i + 1) % 26);
        a[2 * i + 1] = b[2 * i + 1] = ' ';
    }
    struct wer_count c = {0};
    ok(wer_words(&c, a, 2 * n, b, 2 * n) == 0 && c.deletions == 1 && c.insertions == 1 && c.hits == n - 1,
       "3,000 words, shifted by one");
    free(a);
    free(b);
    struct wer_count none = {0};
    ok(wer_rate(&none) == 0 && wer_words(&none, "", 0, "a b", 3) == 0 && wer_rate(&none) == 2,
       "of an empty reference the rate is its errors");
    return done();
}
