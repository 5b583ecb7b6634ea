/* tests/unit/tokenize_test.c - the program tokenize on golden rows: every id and every label
 *
 * Rows go through gcs-fetch and tokenize as a user would send them; what comes
 * out is read with our own stream reader.  `tokenize_test list FILE` shows the ids
 * of a stream, for the tests of programs. */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/stream/stream.h"
#include "tests/unit/rows.h"
#include "tests/unit/tap.h"

#define GOLDEN "tests/golden/"

static char dir[] = "/tmp/penstock.tokenize.XXXXXX";

static void put_file(const char *name, const char *data, size_t n)
{
    char path[300];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        printf("# cannot write %s\n", path);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static void put_golden(const char *name, const char *golden)
{
    size_t n = 0;
    char *s = rows_slurp(golden, &n);

    put_file(name, s ? s : "", n);
    free(s);
}

/* --- reading what came out --------------------------------------------------------- */
typedef bool (*check_fn)(void *ctx, const struct sample *s, size_t number);

/* Calls check for each sample of the stream in dir/out; true if all passed and the stream ended as it must. */
static bool each_sample(const char *path, check_fn check, void *ctx, size_t *samples)
{
    struct error e = { 0 };
    struct unit u;
    struct stream_in *in = stream_in_open(path, &e);
    bool good = in != NULL;
    enum stream_event event = STREAM_FAILED;

    *samples = 0;
    unit_init(&u);
    while (in && (event = stream_next(in, &u, &e)) > STREAM_EOF)
        for (uint32_t i = 0; event == STREAM_UNIT && i < u.k; i++)
            if (!check(ctx, &u.sample[i], (*samples)++)) {
                struct span id = sample_id(&u.sample[i]);
                printf("# wrong: '%.*s'\n", (int)id.size, (const char *)id.data);
                good = false;
            }
    if (event != STREAM_EOF)
        printf("# %s\n", e.text);
    unit_release(&u);
    if (in)
        stream_in_close(in);
    return good && event == STREAM_EOF;
}

static bool array_is_list(const struct sample *s, const char *key, const int32_t *want, size_t n)
{
    struct array a;
    struct error e;
    bool good = sample_array(s, key, &a, &e) == 1 && a.type == ARRAY_I32 && a.rank == 1 && a.shape[0] == n;

    for (size_t i = 0; good && i < n; i++)
        good = (int32_t)array_at(&a, i) == want[i];
    return good;
}

static void list_put(const struct sample *s, const char *key)
{
    struct array a;
    struct error e;

    if (sample_array(s, key, &a, &e) != 1)
        return;
    printf(" %s=", key);
    for (uint64_t i = 0; i < a.shape[0]; i++)
        printf("%s%d", i ? "," : "", (int)array_at(&a, i));
}

static bool show(void *ctx, const struct sample *s, size_t number)
{
    struct span id = sample_id(s);

    struct sample_error what;
    bool failed = sample_error(s, &what);

    (void)ctx;
    (void)number;
    printf("%.*s:%s", (int)id.size, (const char *)id.data,
           failed && what.dropped ? " dropped" : failed ? " failed" : "");
    list_put(s, "input_ids");
    list_put(s, "labels");
    for (size_t i = 0; i < s->n; i++)
        printf("%s%.*s", i ? "," : " fields=", (int)s->field[i].key.size, (const char *)s->field[i].key.data);
    putchar('\n');
    return true;
}

/* --- running the programs -------------------------------------------------------------- */

/* Sends rows through the programs with these options; checks what comes out. */
static bool pipeline(json_t *manifest, const char *options, check_fn check, void *ctx)
{
    char command[1000], path[300];
    struct text_file { char *s; size_t n; } all = { NULL, 0 };
    FILE *f = open_memstream(&all.s, &all.n);
    size_t samples;
    int status;

    for (size_t i = 0; i < json_array_size(manifest); i++) {
        json_dumpf(json_array_get(manifest, i), f, JSON_COMPACT);
        fputc('\n', f);
    }
    fclose(f);
    put_file("rows.jsonl", all.s, all.n);
    free(all.s);
    snprintf(command, sizeof command, "gcs-fetch -q --unit 7 %s/rows.jsonl | tokenize -q --model %s %s > %s/out", dir, dir,
             options, dir);
    status = system(command);
    snprintf(path, sizeof path, "%s/out", dir);
    if (status) {
        printf("# status %d of: %s\n", status, command);
        return false;
    }
    bool good = each_sample(path, check, ctx, &samples);
    if (samples != json_array_size(manifest))
        printf("# %zu samples of %zu\n", samples, json_array_size(manifest));
    return good && samples == json_array_size(manifest);
}

/* --- Whisper ------------------------------------------------------------------------------ */

/* Inputs are the golden row without its last token, labels without its first. */
static bool check_whisper(void *ctx, const struct sample *s, size_t number)
{
    json_t *want = json_object_get(json_array_get(ctx, number), "ids");
    size_t n = json_array_size(want);
    int32_t *id = malloc(n * sizeof *id);
    bool good;

    for (size_t i = 0; i < n; i++)
        id[i] = (int32_t)json_integer_value(json_array_get(want, i));
    good = array_is_list(s, "input_ids", id, n - 1) && array_is_list(s, "labels", id + 1, n - 1);
    free(id);
    return good;
}

static bool gather(void *ctx, json_t *row)
{
    return json_array_append(ctx, row) == 0;
}

static json_t *rows_of(const char *path)
{
    json_t *all = json_array();

    if (!rows_all(path, gather, all))
        printf("# no rows in %s\n", path);
    return all;
}

static void whisper(const char *name)
{
    char path[200];
    json_t *rows, *manifest = json_array();

    snprintf(path, sizeof path, GOLDEN "tokenizer-whisper/%s/tokenizer.json.xz", name);
    put_golden("tokenizer.json", path);
    put_text("config.json", "{\"model_type\": \"whisper\", \"max_target_positions\": 448}");
    snprintf(path, sizeof path, GOLDEN "tokenizer-whisper/prefix-%s.jsonl", name);
    rows = rows_of(path);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_copy(json_array_get(rows, i));
        json_object_del(row, "ids");
        json_array_append_new(manifest, row);
    }
    ok(pipeline(manifest, "", check_whisper, rows), "%s: ids and labels of the golden label rows", name);
    json_decref(manifest);
    json_decref(rows);
}

/* --- Gemma --------------------------------------------------------------------------------- */
struct gemma { json_t *rows; const char *mask; size_t failed; };

static bool check_gemma(void *ctx, const struct sample *s, size_t number)
{
    struct gemma *g = ctx;
    json_t *row = json_array_get(g->rows, number), *want = json_object_get(row, "input_ids"),
           *mask = json_object_get(row, g->mask);
    size_t n = json_array_size(want), learnt = 0;
    int32_t *id = malloc((n + 1) * sizeof *id), *label = malloc((n + 1) * sizeof *label);
    bool good;

    for (size_t i = 0; i < n; i++) {
        bool in = json_integer_value(json_array_get(mask, i)) != 0;
        id[i] = (int32_t)json_integer_value(json_array_get(want, i));
        label[i] = in ? id[i] : -100;
        learnt += in;
    }
    if (!learnt) {                      /* refused by the template, or no answer to learn from */
        good = sample_failed(s);
        g->failed++;
    } else {
        good = array_is_list(s, "input_ids", id, n) && array_is_list(s, "labels", label, n);
    }
    free(id);
    free(label);
    return good;
}

static void gemma(void)
{
    struct gemma answers = { rows_of(GOLDEN "gemma3-sft/rows.jsonl"), "assistant", 0 }, whole = { answers.rows, "whole", 0 };
    json_t *manifest = json_array();

    put_golden("tokenizer.json", GOLDEN "tokenizer-gemma3/tokenizer.json.xz");
    put_text("config.json", "{\"model_type\": \"gemma3_text\", \"vocab_size\": 262144}");
    for (size_t i = 0; i < json_array_size(answers.rows); i++) {
        json_t *golden = json_array_get(answers.rows, i), *row = json_copy(json_object_get(golden, "row"));
        json_object_set(row, "id", json_object_get(golden, "id"));
        json_array_append_new(manifest, row);
    }
    ok(pipeline(manifest, "", check_gemma, &answers), "Gemma: ids and labels of the golden fine-tuning rows");
    is_int((long long)answers.failed, 3, "three of them are error records: two by their roles, one without an answer");
    ok(pipeline(manifest, "--loss-on all", check_gemma, &whole), "the same rows learnt as a whole");
    is_int((long long)whole.failed, 2, "then the one without an answer is learnt too");
    json_decref(manifest);
    json_decref(answers.rows);
}

int main(int argc, char **argv)
{
    char command[100];
    size_t samples;

    if (argc == 3 && !strcmp(argv[1], "list"))
        return each_sample(argv[2], show, NULL, &samples) ? 0 : 1;
    if (!mkdtemp(dir))
        return 1;
    whisper("multilingual");
    whisper("v3");
    whisper("english");
    gemma();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command))
        printf("# %s remains\n", dir);
    return done();
}
