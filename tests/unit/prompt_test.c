/* tests/unit/prompt_test.c - Whisper's label rows against the golden ones */
#include <stdlib.h>

#include "kernels/text/prompt.h"
#include "tests/unit/rows.h"
#include "tests/unit/tap.h"

#define GOLDEN "tests/golden/"

struct subject {
    struct tokenizer *t;
    struct encoder *e;
    struct prompt p;
};

static bool open_subject(struct subject *s, const char *path)
{
    char why[WHY] = "no such file";
    size_t n;
    char *json = rows_slurp(path, &n);

    s->t = json ? tokenizer_new(json, n, why) : NULL;
    free(json);
    if (!ok(s->t && !prompt_init(&s->p, s->t, -1, why), "%s is Whisper's", path)) {
        printf("# %s\n", why);
        return false;
    }
    s->e = encoder_new(s->t);
    return true;
}

static void close_subject(struct subject *s)
{
    encoder_free(s->e);
    tokenizer_free(s->t);
}

static struct str str_json(json_t *v)
{
    return str_of(json_string_value(v), json_string_length(v));
}

static struct prompt_ask ask_of(const struct subject *s, json_t *row)
{
    struct prompt_ask ask = { -1, -1, json_is_true(json_object_get(row, "timestamps")) };
    const char *task = json_string_value(json_object_get(row, "task"));
    json_t *language = json_object_get(row, "language");

    if (json_is_string(language))
        ask.language = s->p.language[language_find(str_json(language))];
    if (task)
        ask.task = !strcmp(task, "translate") ? s->p.translate : s->p.transcribe;
    return ask;
}

static bool same(const int32_t *got, size_t n, json_t *want)
{
    bool good = n == json_array_size(want);

    for (size_t i = 0; good && i < n; i++)
        good = got[i] == json_integer_value(json_array_get(want, i));
    return good;
}

static bool check_prefix(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    char why[WHY];
    struct prompt_ask ask = ask_of(s, row);
    struct transcript x = { .text = str_json(json_object_get(row, "text")) };
    struct tokens ids = { 0 };
    size_t learnt;
    bool good = !prompt_row(&s->p, s->e, &ask, &x, &ids, &learnt, why) && learnt == 1 &&
                same(ids.id, ids.n, json_object_get(row, "ids"));

    tokens_release(&ids);
    return good;
}

static bool check_skip(void *ctx, json_t *row)
{
    struct subject *s = ctx;
    char why[WHY];
    struct tokens ids = { 0 };
    struct text text = { 0 };
    json_t *list = json_object_get(row, "ids");
    struct str want = str_json(json_object_get(row, "skip"));
    bool good;

    for (size_t i = 0; i < json_array_size(list); i++)
        tokens_add(&ids, (int32_t)json_integer_value(json_array_get(list, i)));
    good = !prompt_decode(&s->p, ids.id, ids.n, &text, why) && text.n == want.n &&
           (!want.n || !memcmp(text.s, want.s, want.n));
    text_release(&text);
    tokens_release(&ids);
    return good;
}

static void golden(const char *name, bool english)
{
    char path[200];
    struct subject s;

    snprintf(path, sizeof path, GOLDEN "tokenizer-whisper/%s/tokenizer.json.xz", name);
    if (!open_subject(&s, path))
        return;
    is_int(s.p.english, english, english ? "an English-only tokenizer is known as such" : "a multilingual one too");
    is_int(s.p.timestamps, 1501, "timestamps go to 30.00 s");
    snprintf(path, sizeof path, GOLDEN "tokenizer-whisper/prefix-%s.jsonl", name);
    ok(rows_all(path, check_prefix, &s), "%s: label rows", name);
    snprintf(path, sizeof path, GOLDEN "tokenizer-whisper/decode-%s.jsonl", name);
    ok(rows_all(path, check_skip, &s), "%s: texts for reading", name);
    close_subject(&s);
}

/* The rows that the golden training cases were made with: tokens, and what is supervised. */
static void training_rows(struct subject *s)
{
    size_t n;
    char *all = rows_slurp(GOLDEN "whisper-micro/labels.json", &n);
    json_t *rows = json_loads(all ? all : "", 0, NULL);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        char why[WHY];
        struct prompt_ask ask = ask_of(s, row);
        struct transcript x = { .text = str_json(json_object_get(row, "text")) };
        struct tokens ids = { 0 };
        size_t learnt;
        bool good = !prompt_row(&s->p, s->e, &ask, &x, &ids, &learnt, why);
        ok(good && same(ids.id, ids.n, json_object_get(row, "tokens")), "training row %zu has the golden tokens", i + 1);
        is_int((long long)(ids.n - learnt), json_integer_value(json_object_get(row, "supervised")),
               "and as many are supervised");
        tokens_release(&ids);
    }
    is_int((long long)json_array_size(rows), 3, "there are three training rows");
    json_decref(rows);
    free(all);
}

static void segments_become_times(struct subject *s)
{
    char why[WHY] = "";
    struct segment two[] = { { 0, 0.72, { " five", 5 } }, { 0.759, 1.541, { " five", 5 } } };
    struct prompt_ask ask = { s->p.language[language_find(str_of("german", 6))], s->p.translate, true };
    struct transcript spelled = { .text = str_of("<|0.00|> five<|0.72|><|0.76|> five<|1.54|>", 42) };
    struct transcript timed = { .text = str_of("five five", 9), .segment = two, .segments = 2 };
    struct tokens a = { 0 }, b = { 0 };
    size_t learnt;

    ok(!prompt_row(&s->p, s->e, &ask, &spelled, &a, &learnt, why) &&
       !prompt_row(&s->p, s->e, &ask, &timed, &b, &learnt, why) &&
       a.n == b.n && !memcmp(a.id, b.id, a.n * sizeof *a.id),
           "segments give the row that their times spelled in the text give");
    two[1].start = 0.5;
    is_int(prompt_row(&s->p, s->e, &ask, &timed, &b, &learnt, why), TEXT_BAD, "segments that go back are refused");
    is_str(why, "segment 2 goes from 0.5 to 1.541 s, after one that ends at 0.72 s: times must not go back",
           "with the times");
    is_int((long long)b.n, (long long)a.n, "and nothing is added");
    two[1] = (struct segment){ 2, 3.5, { "x", 1 } };
    is_int(prompt_row(&s->p, s->e, &ask, &timed, &b, &learnt, why), TEXT_BAD, "so is a time past the last timestamp");
    is_str(why, "a time of 3.5 s: timestamps go from 0 to 3.00 s", "with the limit");
    spelled.text = str_of("<|0.72|> a<|0.70|>", 18);
    is_int(prompt_row(&s->p, s->e, &ask, &spelled, &b, &learnt, why), TEXT_BAD, "and times in a text that go back");
    ask.timestamps = false;
    b.n = 0;
    spelled.text = str_of("<|0.72|>", 8);
    ok(!prompt_row(&s->p, s->e, &ask, &spelled, &b, &learnt, why) && b.n > 6, "without timestamps their spelling is text");
    tokens_release(&a);
    tokens_release(&b);
}

static void previous_text_is_read_only(struct subject *s)
{
    char why[WHY];
    struct prompt_ask ask = { -1, -1, false };
    struct transcript x = { .text = str_of("a", 1), .previous = str_of("<|en|>bbbb", 10), .previous_max = 3 };
    struct tokens row = { 0 };
    size_t learnt = 0;

    ok(!prompt_row(&s->p, s->e, &ask, &x, &row, &learnt, why) && row.n == 8 && row.id[0] == s->p.previous &&
       row.id[4] == s->p.begin, "the last tokens of the text before come first");
    is_int((long long)learnt, 5, "and learning begins behind <|startoftranscript|>");
    tokens_release(&row);
}

/* The file of an old checkpoint: its timestamps cut off. */
static void times_are_added(void)
{
    size_t n;
    char *all = rows_slurp(GOLDEN "tokenizer-whisper/multilingual/tokenizer.json.xz", &n), why[WHY] = "", *short_json;
    json_t *file = json_loads(all ? all : "{}", 0, NULL), *added = json_object_get(file, "added_tokens");
    struct tokenizer *whole = tokenizer_new(all ? all : "", n, why), *cut;
    struct prompt p = { 0 };

    for (size_t i = json_array_size(added); i-- > 0;) {
        if (json_integer_value(json_object_get(json_array_get(added, i), "id")) <= 50363) break;
        json_array_remove(added, i);
    }
    short_json = json_dumps(file, 0);
    cut = tokenizer_new(short_json, strlen(short_json), why);
    ok(cut && !prompt_init(&p, cut, -1, why) && p.timestamp == 50364 && p.timestamps == 1501 &&
       !tokenizer_special(cut, 50364), "timestamps that an old file leaves out are there %s", why);
    ok(cut && whole && tokenizer_hash(cut) == tokenizer_hash(whole), "and the tokenizer is the same");
    tokenizer_free(cut);
    tokenizer_free(whole);
    free(short_json);
    free(all);
    json_decref(file);
}

static void languages_are_found(void)
{
    static const struct { const char *word, *code; } row[] = {
        { "en", "en" }, { "English", "en" }, { "<|yue|>", "yue" }, { "Haitian Creole", "ht" }, { "Flemish", "nl" },
        { "pt-BR", "pt" }, { "zh_cn", "zh" }, { "JW", "jw" }, { "xx", NULL }, { "", NULL }, { "-", NULL }, { "engl", NULL },
    };
    size_t words = 0;

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int at = language_find(str_of(row[i].word, strlen(row[i].word)));
        char name[80];
        snprintf(name, sizeof name, "language '%s' is %s", row[i].word, row[i].code ? row[i].code : "unknown");
        is_str(at < 0 ? NULL : language_code[at], row[i].code, name);
    }
    while (language_words[words] && language_find(str_of(language_words[words], strlen(language_words[words]))) >= 0)
        words++;
    ok(!language_words[words] && words > 2 * LANGUAGES, "every word that is suggested is found (%zu)", words);
}

int main(void)
{
    struct subject micro;

    languages_are_found();
    times_are_added();
    golden("multilingual", false);
    golden("v3", false);
    golden("english", true);
    if (open_subject(&micro, GOLDEN "whisper-micro/model/tokenizer.json")) {
        training_rows(&micro);
        segments_become_times(&micro);
        previous_text_is_read_only(&micro);
        close_subject(&micro);
    }
    return done();
}
