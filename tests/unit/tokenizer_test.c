/* tests/unit/tokenizer_test.c - ids and texts against those of the tokenizers library */
#include <stdlib.h>
#include <time.h>

#include "kernels/text/tokenizer/split.h"
#include "kernels/text/tokenizer/tokenizer.h"
#include "tests/unit/rows.h"
#include "tests/unit/tap.h"

#define GOLDEN "tests/golden/tokenizer-"

static struct tokenizer *load(const char *path)
{
    char why[WHY];
    size_t n;
    char *json = rows_slurp(path, &n);
    clock_t start = clock();
    struct tokenizer *t = json ? tokenizer_new(json, n, why) : NULL;

    ok(t != NULL, "%s loads in %.3f s%s%s", path, (double)(clock() - start) / CLOCKS_PER_SEC, t ? "" : ": ", t ? "" : why);
    free(json);
    return t;
}

static bool same_ids(const struct tokens *got, json_t *want)
{
    if (got->n != json_array_size(want))
        return false;
    for (size_t i = 0; i < got->n; i++)
        if (got->id[i] != json_integer_value(json_array_get(want, i)))
            return false;
    return true;
}

static bool same_text(const struct text *got, json_t *want)
{
    return got->n == json_string_length(want) && !memcmp(got->s ? got->s : "", json_string_value(want), got->n);
}

struct subject {
    struct tokenizer *t;
    struct encoder *e;
};

static bool encodes_as(struct subject *s, json_t *text, enum added added, json_t *want)
{
    char why[WHY];
    struct tokens ids = { 0 };
    const char *p = json_string_value(text);
    size_t n = json_string_length(text), *end;
    bool good = p && !encode(s->e, p, n, added, &ids, why) && same_ids(&ids, want);

    end = malloc((ids.n + 1) * sizeof *end);
    good = good && !encode_offsets(s->t, ids.id, ids.n, p, n, end);
    free(end);
    tokens_release(&ids);
    return good;
}

static bool check_encode(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    json_t *plain = json_object_get(row, "plain"), *ids = json_object_get(row, "ids"), *text = json_object_get(row, "text");
    bool whisper = tokenizer_find(s->t, "<|endoftext|>") >= 0;

    return encodes_as(s, text, ADDED_ALL, ids) && (!whisper || encodes_as(s, text, ADDED_NONE, plain ? plain : ids));
}

static bool decodes_as(struct subject *s, const struct tokens *ids, bool skip, json_t *want)
{
    char why[WHY];
    struct text text = { 0 };
    bool good = !decode(s->t, ids->id, ids->n, skip, &text, why) && same_text(&text, want);

    text_release(&text);
    return good;
}

static void tokens_of(json_t *list, struct tokens *ids)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        tokens_add(ids, (int32_t)json_integer_value(json_array_get(list, i)));
}

static bool check_decode(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    struct tokens ids = { 0 };
    struct text raw = { 0 };
    json_t *bytes = json_object_get(row, "bytes");
    bool good;

    tokens_of(json_object_get(row, "ids"), &ids);
    good = decodes_as(s, &ids, false, json_object_get(row, "text"));
    if (bytes) {                        /* of the text tokens alone, in hexadecimal */
        char two[3];
        const char *want = json_string_value(bytes);
        for (size_t i = 0; i < ids.n; i++)
            if (!tokenizer_added(s->t, ids.id[i]))
                decode_bytes(s->t, ids.id[i], &raw);
        good = good && raw.n * 2 == json_string_length(bytes);
        for (size_t i = 0; good && i < raw.n; i++) {
            snprintf(two, sizeof two, "%02x", (unsigned char)raw.s[i]);
            good = !memcmp(two, want + 2 * i, 2);
        }
    } else {
        good = good && decodes_as(s, &ids, true, json_object_get(row, "skip"));
    }
    text_release(&raw);
    tokens_release(&ids);
    return good;
}

static void classes_are_unicode_16(void)
{
    size_t n, wrong = 0;
    char *all = rows_slurp(GOLDEN "whisper/classes.json", &n);
    json_t *sets = json_loads(all ? all : "", 0, NULL);
    const char *names[] = { NULL, "L", "N", "S" };
    unsigned char *want = calloc(0x110000, 1);
    struct classes c;

    for (unsigned char k = 1; k < 4; k++)
        for (size_t i = 0; i < json_array_size(json_object_get(sets, names[k])); i++) {
            json_t *range = json_array_get(json_object_get(sets, names[k]), i);
            json_int_t last = json_integer_value(json_array_get(range, 1));
            for (json_int_t x = json_integer_value(json_array_get(range, 0)); x <= last; x++)
                want[x] = k;
        }
    classes_make(&c);
    for (size_t i = 0; i < 0x110000; i++)
        wrong += c.of[i] != want[i];
    ok(sets && !wrong, "letters, numbers and white space are Unicode 16's, at every code point (%zu wrong)", wrong);
    classes_release(&c);
    free(want);
    free(all);
    json_decref(sets);
}

/* One word that nothing splits, and many: a quadratic merge would take minutes. */
static void long_words_take_no_longer(struct subject *s, const char *name)
{
    char why[WHY], *text = malloc(1 << 20);
    struct tokens ids = { 0 };
    clock_t start = clock();
    double seconds;

    for (size_t i = 0; i < 1 << 20; i++)
        text[i] = (char)('a' + (i * i * 7 + i / 3) % 26);
    bool good = !encode(s->e, text, 1 << 20, ADDED_ALL, &ids, why);
    ok(good && ids.n > 1000, "%s: a word of 1 MB is encoded (%zu tokens)", name, ids.n);
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ok(seconds <= 20, "%s: and not in quadratic time (%.2f s)", name, seconds);
    tokens_release(&ids);
    free(text);
}

static void bad_text_is_refused(struct subject *s)
{
    char why[WHY] = "";
    struct tokens ids = { 0 };

    is_int(encode(s->e, "ab\xff", 3, ADDED_ALL, &ids, why), TEXT_BAD, "text that is not UTF-8 is refused");
    is_str(why, "the text is not UTF-8 at byte 2", "and the byte is named");
    is_int(encode(s->e, "ab\xed\xa0\x80", 5, ADDED_ALL, &ids, why), TEXT_BAD, "so is a surrogate in UTF-8's clothes");
    is_int((long long)ids.n, 0, "nothing is added to the ids then");
    tokens_add(&ids, 1 << 20);
    struct text text = { 0 };
    is_int(decode(s->t, ids.id, 1, false, &text, why) + (int)text.n, 0, "an id that is none has no text");
    tokens_release(&ids);
    text_release(&text);
}

static void whisper(const char *name)
{
    char path[200];
    struct subject s;

    snprintf(path, sizeof path, GOLDEN "whisper/%s/tokenizer.json.xz", name);
    s.t = load(path);
    if (!s.t)
        return;
    s.e = encoder_new(s.t);
    for (int pass = 0; pass < 2; pass++) {      /* again, with the words cached */
        snprintf(path, sizeof path, GOLDEN "whisper/encode-%s.jsonl", name);
        ok(rows_all(path, check_encode, &s), "%s: %s", path,
           pass ? "the same from the cache" : "ids, with special tokens and as plain text");
    }
    snprintf(path, sizeof path, GOLDEN "whisper/decode-%s.jsonl", name);
    ok(rows_all(path, check_decode, &s), "%s: %s", path, "texts and bytes");
    if (!strcmp(name, "multilingual")) {
        long_words_take_no_longer(&s, "byte level");
        bad_text_is_refused(&s);
    }
    encoder_free(s.e);
    tokenizer_free(s.t);
}

static void gemma(void)
{
    struct subject s = { .t = load(GOLDEN "gemma3/tokenizer.json.xz") };
    char why[WHY];
    struct tokens ids = { 0 };

    if (!s.t)
        return;
    s.e = encoder_new(s.t);
    ok(rows_all(GOLDEN "gemma3/encode.jsonl", check_encode, &s), "%s: %s", GOLDEN "gemma3/encode.jsonl", "ids");
    ok(rows_all(GOLDEN "gemma3/encode.jsonl", check_encode, &s), "%s: %s", GOLDEN "gemma3/encode.jsonl",
       "the same from the cache");
    ok(rows_all(GOLDEN "gemma3/decode.jsonl", check_decode, &s), "%s: %s", GOLDEN "gemma3/decode.jsonl",
       "texts, with and without special tokens");
    long_words_take_no_longer(&s, "byte fallback");
    is_int(tokenizer_find(s.t, "<end_of_turn>"), 106, "a token is found by its name");
    ok(tokenizer_special(s.t, 106) && !tokenizer_special(s.t, 107) && tokenizer_added(s.t, 107),
       "special and ordinary added tokens are told apart");
    ok(tokenizer_text_size(s.t) <= 262144 && tokenizer_text_size(s.t) > 250000,
       "added tokens, of which the text models lack one, are not what a model must have");
    encode(s.e, "<bos>\n\n", 7, ADDED_ORDINARY, &ids, why);
    ok(ids.n > 1 && ids.id[0] != 2 && ids.id[ids.n - 1] == 108,
       "only ordinary added tokens are found where only they are wanted");
    tokens_release(&ids);
    encoder_free(s.e);
    tokenizer_free(s.t);
}

static bool check_ids(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    char why[WHY];
    struct tokens ids = { 0 };
    json_t *text = json_object_get(row, "text");
    bool good = !encode(s->e, json_string_value(text), json_string_length(text), ADDED_ALL, &ids, why) &&
                same_ids(&ids, json_object_get(row, "ids"));

    tokens_release(&ids);
    return good;
}

/* Tokens that take white space, that want whole words, that stand in the normalised text. */
static void added_tokens_of_all_kinds(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, GOLDEN "added/%s.json", name);
    struct subject s = { .t = load(path) };
    if (!s.t)
        return;
    s.e = encoder_new(s.t);
    snprintf(path, sizeof path, GOLDEN "added/%s.jsonl", name);
    ok(rows_all(path, check_ids, &s), "%s: ids among added tokens of all kinds", path);
    encoder_free(s.e);
    tokenizer_free(s.t);
}

/* --- files that are no tokenizers ----------------------------------------------- */
static const char *reason(const char *json)
{
    static char why[WHY];
    struct tokenizer *t = tokenizer_new(json, strlen(json), why);

    tokenizer_free(t);
    return t ? "accepted" : why;
}

static void broken_files_are_refused(void)
{
    static const struct { const char *json, *why, *name; } row[] = {
        { "", "not an object at byte 0", "an empty file" },
        { "[1]", "not an object at byte 0", "a list" },
        { "{\"a\": \xff}", "not UTF-8 at byte 6", "bytes that are not UTF-8" },
        { "{}", "there is no \"model\"", "an object without a model" },
        { "{\"model\": {\"type\": \"BPE\"}}", "a model without \"vocab\" and \"merges\" at byte 25",
          "a model without tables" },
        { "{\"model\": {\"vocab\": {\"a\": 0, \"a\": 1}", "two tokens of one name at byte 35", "a name twice" },
        { "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0}", "two tokens of one id at byte 35", "an id twice" },
        { "{\"model\": {\"vocab\": {\"a\": 99999999}", "a token's id is out of range at byte 34",
          "an id that would fill the memory" },
        { "{\"model\": {\"vocab\": {\"a\": -1}", "a token's id is out of range at byte 28", "a negative id" },
        { "{\"model\": {\"vocab\": {\"a\": 1.5}", "not a whole number at byte 27", "an id with a fraction" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [[\"a\", \"b\"]]",
          "merge 1 is of tokens that are not in the vocabulary", "a merge of unknown tokens" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"ab\"]", "a merge without a space at byte 45",
          "a merge of one" },
        { "{\"model\": {\"vocab\": {\"\\ud800\": 0}", "half of a surrogate pair at byte 28", "half a surrogate pair" },
        { "{\"model\": {\"vocab\": {\"a", "a string that does not end at byte 23", "a string cut short" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [], \"type\": \"Unigram\"}}",
          "the model's type is not \"BPE\"", "another kind of model" },
        { "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [], \"type\": \"BPE\"}}",
          "neither byte level (pre_tokenizer and decoder \"ByteLevel\") nor byte_fallback", "neither kind of BPE" },
        { "{\"model\": {\"merges\": [], \"vocab\": {\"a\": 0}, \"type\": \"BPE\", \"byte_fallback\": true}}",
          "byte_fallback with a normalizer other than Replace \" \" by U+2581", "byte fallback without its normalizer" },
        { "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"decoder\": {\"type\": \"ByteLevel\"}, "
          "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [], \"type\": \"BPE\"}}", "no token for the byte 0x00",
              "a vocabulary without all bytes" },
    };
    char deep[400];

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[200];
        snprintf(name, sizeof name, "refused: %s", row[i].name);
        is_str(reason(row[i].json), row[i].why, name);
    }
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\": ", 6);
    deep[sizeof deep - 1] = 0;
    is_str(reason(deep), "values nested too deep at byte 70", "refused: a nest of brackets");
}

int main(void)
{
    classes_are_unicode_16();
    whisper("multilingual");
    whisper("english");
    whisper("v3");
    gemma();
    added_tokens_of_all_kinds("byte-level");
    added_tokens_of_all_kinds("byte-fallback");
    broken_files_are_refused();
    return done();
}
