/* cmd/wer/score.c - see score.h
 *
 * A line is a JSON object with `reference` and `text`; both are normalised, then
 * compared.  Lines with an `error` are failed records: counted, not compared. */
#include "cmd/wer/score.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"

enum { LANGUAGES_MAX = 1000 };

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
        error_memory(e);
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
        return error_memory(e);
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

/* --- the corpus ------------------------------------------------------------------------ */
int score_lines(struct score *s, FILE *in, const char *from, struct error *e)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;
    s->worst = calloc(s->worst_room + 1, sizeof *s->worst);
    if (!s->worst)
        return error_memory(e);
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

void score_release(struct score *s)
{
    while (s->n_worst)
        row_release(&s->worst[--s->n_worst]);
    free(s->worst);
    while (s->n_languages)
        free(s->language[--s->n_languages].code);
    free(s->language);
    spelling_release(&s->spelling);
}
