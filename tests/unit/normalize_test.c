/* tests/unit/normalize_test.c - texts normalised as transformers' Whisper normalisers do it */
#include "kernels/text/normalize/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/sys/file.h"
#include "tests/unit/tap.h"

static struct spelling spelling;

static bool same(const json_t *row, const char *key, const struct normalizer *n)
{
    const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, key);
    struct text got = {0};
    bool pass = normalize(n, json_string_value(text), json_string_length(text), &got) == 0 &&
                got.n == json_string_length(want) && memcmp(got.n ? got.s : "", json_string_value(want), got.n) == 0;
    if (!pass)
        printf("# %s of '%s'\n# got  '%.*s'\n# want '%s'\n", key, json_string_value(text), (int)got.n, got.s ? got.s : "",
               json_string_value(want));
    text_release(&got);
    return pass;
}

/* Facts of spelling that the golden rows need; the whole table comes as a file with a checkpoint. */
static void spellings_add(void)
{
    static const char *const pairs[][2] = {
        {"colour", "color"}, {"colours", "colors"}, {"colourful", "colorful"}, {"favourite", "favorite"},
            {"organise", "organize"},
        {"theatre", "theater"}, {"grey", "gray"}, {"centre", "center"}, {"travelling", "traveling"},
            {"neighbour", "neighbor"},
        {"analysed", "analyzed"}, {"catalogue", "catalog"}, {"behaviour", "behavior"}, {"aluminium", "aluminum"},
        {"aeroplane", "airplane"}, {"tyre", "tire"}, {"pyjamas", "pajamas"}, {"moustache", "mustache"}, {"plough", "plow"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        spelling_add(&spelling, pairs[i][0], pairs[i][1]);
}

static void golden(void)
{
    static const struct { const char *key; struct normalizer n; } forms[] = {
        {"basic", {NORMALIZER_BASIC, false, false, NULL}}, {"plain", {NORMALIZER_BASIC, true, false, NULL}},
        {"letters", {NORMALIZER_BASIC, false, true, NULL}}, {"english", {NORMALIZER_ENGLISH, false, false, NULL}},
        {"spelled", {NORMALIZER_ENGLISH, false, false, &spelling}},
    };
    struct buf b;
    struct error e;
    buf_init(&b, 1 << 20);
    if (!ok(file_read("tests/golden/tokenizer-normalizer/normalize.jsonl", &b, &e) == 0, "the golden rows are read"))
        return;
    int rows = 0, good[5] = {0};
    char *save, *text = (char *)b.data;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), rows++) {
        json_t *row = json_parse(span_of(line, strlen(line)), "normalize.jsonl", &e);
        for (int i = 0; i < 5; i++)
            good[i] += same(row, forms[i].key, &forms[i].n);
        json_decref(row);
    }
    is_int(rows, 204, "golden rows");
    for (int i = 0; i < 5; i++)
        ok(good[i] == rows, "%s: %d of %d rows", forms[i].key, good[i], rows);
    buf_release(&b);
}

static void one(const char *text, enum normalizer_kind kind, const char *want, const char *name)
{
    struct normalizer n = {kind, false, false, NULL};
    struct text got = {0};
    normalize(&n, text, strlen(text), &got);
    text_add(&got, "", 1);
    is_str(got.s, want, name);
    text_release(&got);
}

int main(void)
{
    spellings_add();
    golden();
    one("As It Is, <b>!", NORMALIZER_NONE, "As It Is, <b>!", "none changes nothing");
    one("a\xff" "b \xe2\x82", NORMALIZER_BASIC, "a b ", "bytes that are no text become spaces");
    one("<<<<<<(((((", NORMALIZER_BASIC, " ", "brackets that nothing closes");
    one("999 decillion and one million million", NORMALIZER_ENGLISH, "999000000000000000000000000001000000",
        "numbers beyond 64 bits");
    one("12345678901234567890123 thousand five", NORMALIZER_ENGLISH, "12345678901234568013005", "and of many digits");

    enum normalizer_kind kind;
    ok(normalizer_parse("english", &kind) && kind == NORMALIZER_ENGLISH &&
       strcmp(normalizer_name(kind), "english") == 0, "names are read");
    ok(!normalizer_parse("English", &kind), "others are refused");
    ok(spelling_find(&spelling, "colours", 7) && !strcmp(spelling_find(&spelling, "colours", 7), "colors"),
       "a spelling is found");
    ok(!spelling_find(&spelling, "colo", 4) && !spelling_find(&spelling, "colourfully", 11), "not by its beginning");
    spelling_release(&spelling);
    ok(!spelling_find(&spelling, "colour", 6), "an empty table has none");

    /* time that grows with the text, not with its square */
    size_t n = 400000;
    char *many = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        many[i] = "([<one 's and a half 1 "[i % 23];
    many[n] = 0;
    struct normalizer english = {NORMALIZER_ENGLISH, false, false, NULL};
    struct text got = {0};
    ok(normalize(&english, many, n, &got) == 0 && got.n > 0, "400,000 characters");
    text_release(&got);
    free(many);
    return done();
}
