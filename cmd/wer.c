/* cmd/wer.c - lines of generate in, error rates of the whole corpus out
 *
 * A line is a JSON object with `reference` and `text`; both are normalised, then
 * compared.  Lines with an `error` are failed records: counted, not compared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/shared/max_errors.h"
#include "kernels/text/normalize/normalize.h"
#include "kernels/text/wer.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/cli/text_out.h"
#include "libcommon/format/json.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/text.h"

enum { WORST_MAX = 1000, LANGUAGES_MAX = 1000 };

struct row {                    /* one of the worst: owns its texts */
    char *id;
    struct text reference, text;        /* as normalised */
    struct wer_count words;
};

struct language {               /* rows that name it */
    char *code;                 /* malloc'd */
    struct wer_count words, characters;
    uint64_t rows;
};

struct score {
    struct normalizer normalizer;
    struct spelling spelling;
    struct wer_count words, characters;
    uint64_t rows, failed, unscored;
    struct row *worst;          /* most errors first */
    size_t n_worst, worst_room;
    struct language *language;  /* in the order they came */
    size_t n_languages;
};

/* --- one line ---------------------------------------------------------------------- */
static void row_release(struct row *r)
{
    free(r->id);
    text_release(&r->reference);
    text_release(&r->text);
}

static bool is_worse(const struct wer_count *a, const struct wer_count *b)
{
    uint64_t x = wer_errors(a), y = wer_errors(b);
    return x != y ? x > y : wer_rate(a) > wer_rate(b);
}

/* Takes r, or what falls off the end of the list. */
static void worst_keep(struct score *s, struct row r)
{
    size_t at = s->n_worst;
    while (at > 0 && is_worse(&r.words, &s->worst[at - 1].words))
        at--;
    if (!wer_errors(&r.words) || at == s->worst_room) {
        row_release(&r);
        return;
    }
    if (s->n_worst == s->worst_room)
        row_release(&s->worst[--s->n_worst]);
    memmove(s->worst + at + 1, s->worst + at, (s->n_worst - at) * sizeof *s->worst);
    s->worst[at] = r;
    s->n_worst++;
}

static void wer_add(struct wer_count *to, const struct wer_count *c)
{
    to->substitutions += c->substitutions;
    to->deletions += c->deletions;
    to->insertions += c->insertions;
    to->hits += c->hits;
}

/* The language of that code, new if need be; NULL with e. */
static struct language *language_of(struct score *s, const char *code, struct error *e)
{
    for (size_t i = 0; i < s->n_languages; i++)
        if (!strcmp(s->language[i].code, code))
            return s->language + i;
    if (s->n_languages == LANGUAGES_MAX) {
        error_set(e, STATUS_BAD, "rows of more than %d languages: is 'language' a code?", LANGUAGES_MAX);
        return NULL;
    }
    struct language *more = realloc(s->language, (s->n_languages + 1) * sizeof *more);
    s->language = more ? more : s->language;
    if (!more || !(more[s->n_languages] = (struct language){.code = strdup(code)}).code) {
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    return more + s->n_languages++;
}

static int language_add(struct score *s, const json_t *language, const struct wer_count *words,
                        const struct wer_count *characters, struct error *e)
{
    if (!json_is_string(language))
        return 0;
    struct language *l = language_of(s, json_string_value(language), e);
    if (!l)
        return -1;
    wer_add(&l->words, words);
    wer_add(&l->characters, characters);
    l->rows++;
    return 0;
}

static int pair_score(struct score *s, const json_t *language, const json_t *id, const json_t *reference,
                      const json_t *text, struct error *e)
{
    struct wer_count characters = {0};
    struct row r = {.id = strdup(json_is_string(id) ? json_string_value(id) : "")};
    int rc = r.id ? normalize(&s->normalizer, json_string_value(reference), json_string_length(reference),
                              &r.reference) : -1;
    rc = rc < 0 ? rc : normalize(&s->normalizer, json_string_value(text), json_string_length(text), &r.text);
    const char *a = r.reference.s ? r.reference.s : "", *b = r.text.s ? r.text.s : "";
    if (rc < 0 || wer_words(&r.words, a, r.reference.n, b, r.text.n) < 0 ||
        wer_characters(&characters, a, r.reference.n, b, r.text.n) < 0) {
        row_release(&r);
        return error_set(e, STATUS_AGAIN, "out of memory");
    }
    wer_add(&s->words, &r.words);
    wer_add(&s->characters, &characters);
    int added = language_add(s, language, &r.words, &characters, e);
    worst_keep(s, r);
    return added;
}

static int line_score(struct score *s, struct span line, const char *from, uint64_t number, struct error *e)
{
    json_error_t bad;
    json_t *j = json_load(line, &bad);
    const json_t *reference = json_object_get(j, "reference"), *text = json_object_get(j, "text"),
                 *id = json_object_get(j, "id");
    int rc = 0;
    s->rows++;
    if (!j)
        rc = error_set(e, STATUS_BAD, "%s:%llu: not JSON: %s", from, (unsigned long long)number, bad.text);
    else if (!json_is_object(j))
        rc = error_set(e, STATUS_BAD, "%s:%llu: not an object with 'reference' and 'text'", from,
                       (unsigned long long)number);
    else if (json_object_get(j, "error"))
        s->failed++;
    else if (!json_is_string(text))
        rc = error_set(e, STATUS_BAD, "%s:%llu: no 'text': is it what generate wrote?", from, (unsigned long long)number);
    else if (!reference || json_is_null(reference))
        s->unscored++;
    else if (!json_is_string(reference))
        rc = error_set(e, STATUS_BAD, "%s:%llu: 'reference' is not text", from, (unsigned long long)number);
    else
        rc = pair_score(s, json_object_get(j, "language"), id, reference, text, e);
    json_decref(j);
    return rc;
}

static int lines_score(struct score *s, FILE *in, const char *from, struct error *e)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;
    for (uint64_t number = 1; rc == 0 && (n = getline(&line, &room, in)) >= 0; number++) {
        size_t size = (size_t)n;
        while (size && strchr(" \t\r\n", line[size - 1]))
            size--;
        if (size)
            rc = line_score(s, span_of(line, size), from, number, e);
    }
    if (rc == 0 && ferror(in))
        rc = error_set(e, STATUS_AGAIN, "cannot read %s: %s", from, strerror(errno));
    free(line);
    if (rc == 0 && s->rows == s->failed + s->unscored)
        rc = error_set(e, STATUS_BAD, "%s: no row with a 'reference' to compare with (%llu rows, %llu failed)", from,
                       (unsigned long long)s->rows, (unsigned long long)s->failed);
    return rc;
}

/* --- the result ---------------------------------------------------------------------- */
static void json_text(struct buf *b, const char *key, const char *text, size_t n)
{
    buf_printf(b, "\"%s\": ", key);
    text_put_json(b, text, n);
}

static void json_put(struct buf *b, const struct score *s)
{
    const struct wer_count *w = &s->words, *c = &s->characters;
    buf_printf(b, "{\"wer\": ");
    text_put_json_real(b, wer_rate(w));
    buf_printf(b, ", \"cer\": ");
    text_put_json_real(b, wer_rate(c));
    buf_printf(b, ", \"substitutions\": %llu, \"deletions\": %llu, \"insertions\": %llu, \"words\": %llu",
               (unsigned long long)w->substitutions,
               (unsigned long long)w->deletions, (unsigned long long)w->insertions, (unsigned long long)wer_length(w));
    buf_printf(b, ", \"character_errors\": %llu, \"characters\": %llu", (unsigned long long)wer_errors(c),
               (unsigned long long)wer_length(c));
    buf_printf(b, ", \"rows\": %llu, \"failed\": %llu, \"unscored\": %llu, ", (unsigned long long)s->rows,
               (unsigned long long)s->failed, (unsigned long long)s->unscored);
    const char *name = normalizer_name(s->normalizer.kind);
    json_text(b, "normalizer", name, strlen(name));
    buf_printf(b, ", \"spelling\": %s, \"languages\": [", s->spelling.n ? "true" : "false");
    for (size_t i = 0; i < s->n_languages; i++) {
        const struct language *l = &s->language[i];
        buf_printf(b, "%s{", i ? ", " : "");
        json_text(b, "language", l->code, strlen(l->code));
        buf_printf(b, ", \"wer\": ");
        text_put_json_real(b, wer_rate(&l->words));
        buf_printf(b, ", \"cer\": ");
        text_put_json_real(b, wer_rate(&l->characters));
        buf_printf(b, ", \"words\": %llu, \"rows\": %llu}", (unsigned long long)wer_length(&l->words),
                   (unsigned long long)l->rows);
    }
    buf_printf(b, "], \"worst\": [");
    for (size_t i = 0; i < s->n_worst; i++) {
        const struct row *r = &s->worst[i];
        buf_printf(b, "%s{", i ? ", " : "");
        json_text(b, "id", r->id, strlen(r->id));
        buf_printf(b, ", \"errors\": %llu, \"words\": %llu, ", (unsigned long long)wer_errors(&r->words),
                   (unsigned long long)wer_length(&r->words));
        json_text(b, "reference", r->reference.s ? r->reference.s : "", r->reference.n);
        buf_printf(b, ", ");
        json_text(b, "text", r->text.s ? r->text.s : "", r->text.n);
        buf_printf(b, "}");
    }
    buf_printf(b, "]}\n");
}

static void text_put(struct buf *b, const struct score *s)
{
    const struct wer_count *w = &s->words, *c = &s->characters;
    buf_printf(b, "WER %.2f %%: %llu errors in %llu words (%llu substitutions, %llu deletions, %llu insertions)\n",
               100 * wer_rate(w),
               (unsigned long long)wer_errors(w), (unsigned long long)wer_length(w), (unsigned long long)w->substitutions,
               (unsigned long long)w->deletions, (unsigned long long)w->insertions);
    buf_printf(b, "CER %.2f %%: %llu errors in %llu characters\n", 100 * wer_rate(c), (unsigned long long)wer_errors(c),
               (unsigned long long)wer_length(c));
    bool english = s->normalizer.kind == NORMALIZER_ENGLISH;
    buf_printf(b, "normalizer %s%s; %llu rows compared", normalizer_name(s->normalizer.kind),
               !english ? "" : s->spelling.n ? ", with spellings" : ", without spellings",
                   (unsigned long long)(s->rows - s->failed - s->unscored));
    if (s->failed)
        buf_printf(b, ", %llu failed", (unsigned long long)s->failed);
    if (s->unscored)
        buf_printf(b, ", %llu without a reference", (unsigned long long)s->unscored);
    buf_printf(b, "\n");
    for (size_t i = 0; s->n_languages > 1 && i < s->n_languages; i++) {
        const struct language *l = &s->language[i];
        text_put_json(b, l->code, strlen(l->code));
        buf_printf(b, ": WER %.2f %%, CER %.2f %%, %llu rows\n", 100 * wer_rate(&l->words), 100 * wer_rate(&l->characters),
                   (unsigned long long)l->rows);
    }
    for (size_t i = 0; i < s->n_worst; i++) {
        const struct row *r = &s->worst[i];
        buf_printf(b, "%s", i ? "  " : "worst rows:\n  ");
        text_put_json(b, r->id, strlen(r->id));
        buf_printf(b, ": %llu of %llu\n    reference ", (unsigned long long)wer_errors(&r->words),
                   (unsigned long long)wer_length(&r->words));
        text_put_json(b, r->reference.s ? r->reference.s : "", r->reference.n);
        buf_printf(b, "\n    text      ");
        text_put_json(b, r->text.s ? r->text.s : "", r->text.n);
        buf_printf(b, "\n");
    }
}

static int result_write(const struct score *s, const char *to, bool json, struct error *e)
{
    struct buf b;
    buf_init(&b, 1 << 30);
    (json ? json_put : text_put)(&b, s);
    struct text_out out;
    struct error late;
    int rc = b.failed ? error_set(e, STATUS_AGAIN, "out of memory") : text_out_open(&out, to, e);
    if (rc == 0) {
        rc = text_out_put(&out, b.data, b.size, e);
        if (text_out_close(&out, rc ? &late : e) < 0)
            rc = -1;
    }
    buf_release(&b);
    return rc < 0 && e->status != STATUS_OK ? -1 : 0;       /* a reader that has left has seen enough */
}

static int metrics_write(const struct score *s, const char *to, struct error *e)
{
    *e = (struct error){0};
    struct metrics *m = metrics_open(to, e);
    if (!m)
        return e->status ? -1 : 0;
    metrics_begin(m);
    metrics_str(m, "stage", "wer");
    metrics_str(m, "normalizer", normalizer_name(s->normalizer.kind));
    metrics_real(m, "wer", wer_rate(&s->words));
    metrics_real(m, "cer", wer_rate(&s->characters));
    metrics_int(m, "rows", (int64_t)s->rows);
    metrics_int(m, "failed", (int64_t)s->failed);
    int rc = metrics_end(m, e);
    metrics_close(m);
    return rc;
}

/* --- the program ---------------------------------------------------------------------- */
/* A checkpoint's normalizer.json: {"colour": "color", ...} */
static int spelling_read(struct spelling *s, const char *path, struct error *e)
{
    json_t *j = json_read_file(path, e), *to;
    const char *from;
    if (!j)
        return -1;
    int rc = json_is_object(j) && json_object_size(j) ? 0 : error_set(e, STATUS_BAD, "'%s' is no object of spellings", path);
    json_object_foreach(j, from, to) {
        if (rc == 0 && !json_is_string(to))
            rc = error_set(e, STATUS_BAD, "'%s': the spelling of '%s' is not text", path, from);
        else if (rc == 0 && spelling_add(s, from, json_string_value(to)) < 0)
            rc = error_set(e, STATUS_AGAIN, "out of memory");
    }
    json_decref(j);
    return rc;
}

static int run(struct score *s, const struct common *c, const char *spelling, bool json, struct error *e)
{
    bool file = c->in && strcmp(c->in, "-");
    if (spelling && spelling_read(&s->spelling, spelling, e) < 0)
        return -1;
    s->normalizer.spelling = &s->spelling;
    FILE *in = file ? fopen(c->in, "r") : stdin;
    if (!in)
        return error_set(e, error_errno_status(errno), "cannot read '%s': %s", c->in, strerror(errno));
    int rc = lines_score(s, in, file ? c->in : "standard input", e);
    if (file)
        fclose(in);
    if (rc == 0)
        rc = result_write(s, c->out, json, e);
    return rc == 0 ? metrics_write(s, c->metrics, e) : rc;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"none", "basic", "english", NULL};
    const char *kind = "none", *spelling = NULL, *max_errors = MAX_ERRORS_DEFAULT;
    int64_t worst = 5;
    bool json = false;
    struct score s = {0};
    const struct opt opts[] = {
        { OPT_CHOICE, .name = "normalizer", .value = &kind, .choices = kinds,
          .help = "what is made of both texts first" },
        { OPT_STRING, .name = "spelling", .value = &spelling, .arg = "FILE",
          .help = "english: British to American, a checkpoint's normalizer.json" },
        { OPT_FLAG, .name = "remove-diacritics", .value = &s.normalizer.remove_diacritics,
          .help = "basic: without accents and other marks" },
        { OPT_FLAG, .name = "split-letters", .value = &s.normalizer.split_letters,
          .help = "basic: each letter is a word" },
        { OPT_INT, .name = "worst", .value = &worst, .arg = "N", .min = 0, .max = WORST_MAX, .help = "rows to show" },
        { OPT_FLAG, .name = "json", .value = &json, .help = "the result as one JSON object" },
        { OPT_STRING, .name = "max-errors", .value = &max_errors, .arg = "N|P%",
          .help = "failed rows that are still a success" },
        {.name = NULL},
    };
    const struct program program = {
        .name = "wer", .operands = "[FILE]", .min_operands = 0, .max_operands = 1, .opts = opts,
        .summary = "JSON lines with 'reference' and 'text', as generate writes them, become error rates",
    };
    struct common c = {0};
    struct max_errors limit;
    struct error e = {0, ""};
    int operand = opt_parse(&program, &c, OPT_TEXT_IN | OPT_TEXT_OUT, argc, argv);
    if (operand < argc && c.in)
        die(STATUS_BAD, "both '%s' and --in '%s': which?", argv[operand], c.in);
    if (operand < argc)
        c.in = argv[operand];
    if (!max_errors_parse(max_errors, &limit))
        die(STATUS_BAD, "option --max-errors wants a number or a percentage, not '%s'", max_errors);
    if (!normalizer_parse(kind, &s.normalizer.kind))
        die(STATUS_BAD, "no normalizer '%s'", kind);
    if (spelling && s.normalizer.kind != NORMALIZER_ENGLISH)
        die(STATUS_BAD, "--spelling goes with --normalizer english, not %s", kind);
    if ((s.normalizer.remove_diacritics || s.normalizer.split_letters) && s.normalizer.kind != NORMALIZER_BASIC)
        die(STATUS_BAD, "--remove-diacritics and --split-letters go with --normalizer basic, not %s", kind);
    s.worst_room = (size_t)worst;
    s.worst = calloc(s.worst_room + 1, sizeof *s.worst);
    if (!s.worst)
        die(STATUS_AGAIN, "out of memory");

    int status = STATUS_OK;
    if (run(&s, &c, spelling, json, &e) < 0) {
        warn("%s", e.text);
        status = e.status;
    } else if (max_errors_exceeded(&limit, s.failed, s.rows)) {
        warn("%llu of %llu rows failed, more than --max-errors %s", (unsigned long long)s.failed,
             (unsigned long long)s.rows, max_errors);
        status = STATUS_FAILED_RECORDS;
    }
    while (s.n_worst)
        row_release(&s.worst[--s.n_worst]);
    free(s.worst);
    while (s.n_languages)
        free(s.language[--s.n_languages].code);
    free(s.language);
    spelling_release(&s.spelling);
    return status;
}
