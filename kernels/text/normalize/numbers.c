/* kernels/text/normalize/numbers.c - number words to digits, as Whisper's English normaliser does it
 *
 * "twenty one" is 21, "nineteen eighty four" 1984, "one oh one" 101, "two and a half million" 2500000,
 * "five dollars" $5, "fifty per cent" 50%, "double oh seven" 007, "the first" the 1st.  Its oddities
 * ("nineth", "point hundred") are kept: scores are compared with it. */
#include <stdlib.h>
#include <string.h>

#include "kernels/text/normalize/number.h"
#include "kernels/text/normalize/steps.h"
#include "kernels/text/normalize/words.h"

struct token {
    const uint32_t *v;
    size_t n;
    struct word word;
};

struct numberer {
    const struct token *token;
    size_t n;
    struct number value;        /* what the words so far make */
    struct points prefix;       /* the sign that goes before it; empty: none */
    struct points *out;
};

/* --- output: words with a space between ------------------------------------------------ */
static void word_out(struct numberer *w, const uint32_t *v, size_t n, const char *suffix)
{
    if (w->out->n)
        points_add(w->out, ' ');
    points_append(w->out, w->prefix.v, w->prefix.n);
    points_append(w->out, v, n);
    points_from_utf8(w->out, suffix, strlen(suffix));
    w->prefix.n = 0;
    number_clear(&w->value);
}

static void value_out(struct numberer *w, const char *suffix) { word_out(w, w->value.digits.v, w->value.digits.n, suffix); }

static void pending_out(struct numberer *w)
{
    if (w->value.kind != NUMBER_NONE)
        value_out(w, "");
}

static void token_out(struct numberer *w, const struct token *t)
{
    pending_out(w);
    word_out(w, t->v, t->n, "");
}

static void prefix_set(struct numberer *w, const char *utf8)
{
    w->prefix.n = 0;
    points_from_utf8(&w->prefix, utf8, strlen(utf8));
}

/* --- one token --------------------------------------------------------------------------- */
static bool is_sign(uint32_t c) { return c == '-' || c == '+' || c == 0xa3 || c == 0x20ac || c == '$' || c == 0xa2; }

static bool kind_is(const struct token *t, enum word_kind kind) { return t && t->word.kind == kind; }

/* 12, $12 or 1.5 */
static void digits_take(struct numberer *w, const struct token *t, bool sign)
{
    struct number *value = &w->value;
    if (value->kind == NUMBER_TEXT && value->digits.n && value->digits.v[value->digits.n - 1] == '.') {
        points_append(&value->digits, t->v, t->n);      /* decimals, parts of an address */
        return;
    }
    pending_out(w);
    if (sign) {
        w->prefix.n = 0;
        points_add(&w->prefix, t->v[0]);
    }
    number_read(value, t->v + sign, t->n - sign);
}

/* one to nineteen: added where zeros wait for it, else said digit by digit. */
static void one_take(struct numberer *w, const struct token *prev, int ones)
{
    struct number *value = &w->value;
    size_t places = ones < 10 ? 1 : 2;
    if (value->kind == NUMBER_NONE) {
        number_set(value, ones, 0);
    } else if (value->kind == NUMBER_TEXT || kind_is(prev, WORD_ONE)) {
        if (kind_is(prev, WORD_TEN) && ones < 10 && value->digits.n)
            value->digits.n--;                          /* "20" and 1: the last zero gives way */
        number_join(value, ones);
    } else if (number_ends_in_zeros(value, places)) {
        number_add(value, ones, places);
    } else {
        number_join(value, ones);
    }
}

static void ten_take(struct numberer *w, int tens)
{
    struct number *value = &w->value;
    if (value->kind == NUMBER_NONE)
        number_set(value, tens, 0);
    else if (value->kind == NUMBER_WHOLE && number_ends_in_zeros(value, 2))
        number_add(value, tens, 2);
    else
        number_join(value, tens);
}

static bool is_zero(const struct number *n) { return n->kind == NUMBER_WHOLE && n->digits.n == 1 && n->digits.v[0] == '0'; }

static void multiplier_take(struct numberer *w, const struct word *word)
{
    struct number *value = &w->value;
    if (value->kind == NUMBER_NONE) {
        number_set(value, 1, word->value);
    } else if (value->kind == NUMBER_TEXT || (is_zero(value) && word->kind == WORD_MULTIPLIER)) {
        if (!number_scale(value, word->value)) {
            value_out(w, "");
            number_set(value, 1, word->value);
        }
    } else {
        number_scale_tail(value, word->value);
    }
}

/* "per cent" and "percent" behind a number.  True: the next token is used up. */
static bool percent_take(struct numberer *w, const struct token *t, const struct token *next)
{
    bool per = t->word.kind == WORD_PER, cent = per && next && points_are(next->v, next->n, "cent");
    if (w->value.kind == NUMBER_NONE || (per && !cent)) {
        token_out(w, t);
        return false;
    }
    value_out(w, "%");
    return cent;
}

/* and, double, triple, point: only before what can be a number.  True: the next token is used up. */
static bool special_take(struct numberer *w, const struct token *t, const struct token *prev, const struct token *next)
{
    struct number *value = &w->value;
    bool numeric = next && number_is(next->v, next->n);
    if (!next || (next->word.kind == WORD_OTHER && !numeric)) {
        token_out(w, t);
        return false;
    }
    switch (t->word.kind) {
    case WORD_AND:
        if (!kind_is(prev, WORD_MULTIPLIER))
            token_out(w, t);
        return false;
    case WORD_POINT:
        if (numeric || kind_is(next, WORD_ONE) || kind_is(next, WORD_TEN) || kind_is(next, WORD_ZERO)) {
            if (is_zero(value))
                number_clear(value);
            value->kind = NUMBER_TEXT;
            points_add(&value->digits, '.');
        }
        return false;
    default:
        if (!kind_is(next, WORD_ONE) && !kind_is(next, WORD_ZERO)) {
            token_out(w, t);
            return false;
        }
        if (is_zero(value))
            number_clear(value);
        for (int i = 0; i < t->word.value; i++)
            number_join(value, next->word.value);
        return true;
    }
}

/* Takes token i; true: the next one is used up too. */
static bool token_take(struct numberer *w, size_t i)
{
    const struct token *t = &w->token[i], *prev = i ? t - 1 : NULL, *next = i + 1 < w->n ? t + 1 : NULL;
    bool sign = is_sign(t->v[0]);
    if (number_is(t->v + sign, t->n - sign)) {
        digits_take(w, t, sign);
        return false;
    }
    switch (t->word.kind) {
    case WORD_OTHER:
        token_out(w, t);
        break;
    case WORD_ZERO:
        if (is_zero(&w->value))
            number_clear(&w->value);
        number_join(&w->value, 0);
        break;
    case WORD_ONE:
        one_take(w, prev, t->word.value);
        break;
    case WORD_ONE_SUFFIXED:
        one_take(w, prev, t->word.value);
        value_out(w, t->word.suffix);
        break;
    case WORD_TEN:
        ten_take(w, t->word.value);
        break;
    case WORD_TEN_SUFFIXED:
        ten_take(w, t->word.value);
        value_out(w, t->word.suffix);
        break;
    case WORD_MULTIPLIER:
        multiplier_take(w, &t->word);
        break;
    case WORD_MULTIPLIER_SUFFIXED:
        multiplier_take(w, &t->word);
        value_out(w, t->word.suffix);
        break;
    case WORD_SIGN:
        pending_out(w);
        if (next && (next->word.kind != WORD_OTHER || number_is(next->v, next->n)))
            prefix_set(w, t->word.suffix);
        else
            token_out(w, t);
        break;
    case WORD_CURRENCY:
        if (w->value.kind == NUMBER_NONE) {
            token_out(w, t);
        } else {
            prefix_set(w, t->word.suffix);
            value_out(w, "");
        }
        break;
    case WORD_PER: case WORD_PERCENT:
        return percent_take(w, t, next);
    case WORD_AND: case WORD_DOUBLE: case WORD_TRIPLE: case WORD_POINT:
        return special_take(w, t, prev, next);
    }
    return false;
}

/* --- the step ---------------------------------------------------------------------------------- */
static void step_words(const struct points *from, struct points *to)
{
    struct numberer w = {.out = to};
    struct token *token = NULL;
    size_t room = 0;
    for (size_t i = 0; i < from->n;) {
        size_t start = i;
        while (i < from->n && !point_is_space(from->v[i]))
            i++;
        if (i > start) {
            if (grow(&token, &room, w.n, 1, sizeof *token) < 0) {
                to->failed = true;
                break;
            }
            token[w.n++] = (struct token){from->v + start, i - start, word_find(from->v + start, i - start)};
        }
        while (i < from->n && point_is_space(from->v[i]))
            i++;
    }
    w.token = token;
    for (size_t i = 0; i < w.n; i++)
        i += token_take(&w, i);
    pending_out(&w);
    to->failed = to->failed || w.value.digits.failed || w.prefix.failed;
    number_release(&w.value);
    points_release(&w.prefix);
    free(token);
}

void step_numbers(struct points *text, struct points *spare)
{
    static void (*const steps[])(const struct points *, struct points *) = {
        step_halves, step_boundaries, step_suffixes, step_words, step_cents_combine, step_cents_extract, step_ones,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        steps[i](text, spare);
        points_turn(text, spare);
    }
}
