/* kernels/text/wer.c - see wer.h */
#include "kernels/text/wer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/text/align.h"
#include "kernels/text/normalize/points.h"

/* --- what is aligned --------------------------------------------------------------------- */
static void strip(struct points *p, size_t *start)
{
    while (p->n && point_is_space(p->v[p->n - 1]))
        p->n--;
    *start = 0;
    while (*start < p->n && point_is_space(p->v[*start]))
        ++*start;
}

int wer_characters(struct wer_count *c, const char *reference, size_t n, const char *text, size_t m)
{
    struct points a = {0}, b = {0};
    size_t a_start, b_start;
    points_from_utf8(&a, reference, n);
    points_from_utf8(&b, text, m);
    strip(&a, &a_start);
    strip(&b, &b_start);
    int rc = a.failed || b.failed ? -1 : align(c, a.v + a_start, a.n - a_start, b.v + b_start, b.n - b_start);
    points_release(&a);
    points_release(&b);
    return rc;
}

struct word_at {                /* a word as a stretch of its text */
    const uint32_t *v;
    size_t n;
    size_t place;               /* in the list of all words, before sorting */
};

struct words {
    struct word_at *word;
    size_t n, room;
    bool failed;
};

/* A word ends before a space, before a run of two or more white characters, and at the end. */
static void words_add(struct words *w, const struct points *p)
{
    for (size_t i = 0, start = 0; i <= p->n;) {
        size_t white = 0;
        while (i + white < p->n && point_is_space(p->v[i + white]))
            white++;
        if (i < p->n && white < 2 && p->v[i] != ' ') {
            i++;
            continue;
        }
        if (i > start) {
            if (grow(&w->word, &w->room, w->n, 1, sizeof *w->word) < 0) {
                w->failed = true;
                return;
            }
            w->word[w->n] = (struct word_at){p->v + start, i - start, w->n};
            w->n++;
        }
        i += white ? white : 1;
        start = i;
    }
}

static bool same(const struct word_at *a, const struct word_at *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof *a->v) == 0;
}

static int word_compare(const void *x, const void *y)
{
    const struct word_at *a = x, *b = y;
    int order = memcmp(a->v, b->v, (a->n < b->n ? a->n : b->n) * sizeof *a->v);
    return order ? order : a->n < b->n ? -1 : a->n > b->n;
}

/* Equal words get equal numbers. */
static uint32_t *words_number(struct words *w)
{
    uint32_t *number = malloc((w->n + 1) * sizeof *number), next = 0;
    if (!number)
        return NULL;
    if (w->n)
        qsort(w->word, w->n, sizeof *w->word, word_compare);
    for (size_t i = 0; i < w->n; i++) {
        next += i && !same(&w->word[i], &w->word[i - 1]);
        number[w->word[i].place] = next;
    }
    return number;
}

int wer_words(struct wer_count *c, const char *reference, size_t n, const char *text, size_t m)
{
    struct points a = {0}, b = {0};
    struct words w = {0};
    size_t a_start, b_start;
    points_from_utf8(&a, reference, n);
    points_from_utf8(&b, text, m);
    strip(&a, &a_start);
    strip(&b, &b_start);
    words_add(&w, &(struct points){a.v + a_start, a.n - a_start, 0, false});
    size_t first = w.n;
    words_add(&w, &(struct points){b.v + b_start, b.n - b_start, 0, false});
    uint32_t *number = a.failed || b.failed || w.failed ? NULL : words_number(&w);
    int rc = number ? align(c, number, first, number + first, w.n - first) : -1;
    free(number);
    free(w.word);
    points_release(&a);
    points_release(&b);
    return rc;
}

/* --- rates --------------------------------------------------------------------------------- */
uint64_t wer_errors(const struct wer_count *c) { return c->substitutions + c->deletions + c->insertions; }
uint64_t wer_length(const struct wer_count *c) { return c->substitutions + c->deletions + c->hits; }

double wer_rate(const struct wer_count *c)
{
    uint64_t n = wer_length(c);
    return (double)wer_errors(c) / (double)(n ? n : 1);
}
