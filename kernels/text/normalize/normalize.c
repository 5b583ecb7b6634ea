/* kernels/text/normalize/normalize.c - see normalize.h */
#include "kernels/text/normalize/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/text/normalize/steps.h"

/* --- spellings ------------------------------------------------------------------ */
static char *copy_of(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    if (p)
        memcpy(p, s, n);
    return p;
}

int spelling_add(struct spelling *s, const char *from, const char *to)
{
    if (grow(&s->pair, &s->room, s->n, 1, sizeof *s->pair) < 0)
        return -1;
    struct spelling_pair p = {copy_of(from), copy_of(to)};
    if (!p.from || !p.to) {
        free(p.from);
        free(p.to);
        return -1;
    }
    s->pair[s->n++] = p;
    s->sorted = false;
    return 0;
}

static int pair_compare(const void *a, const void *b)
{
    return strcmp(((const struct spelling_pair *)a)->from, ((const struct spelling_pair *)b)->from);
}

const char *spelling_find(struct spelling *s, const char *word, size_t n)
{
    if (!s->sorted && s->n)
        qsort(s->pair, s->n, sizeof *s->pair, pair_compare);
    s->sorted = true;
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *from = s->pair[mid].from;
        int order = strncmp(word, from, n);
        if (!order && !from[n])
            return s->pair[mid].to;
        if (order < 0 || (!order && from[n]))
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

void spelling_release(struct spelling *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->pair[i].from);
        free(s->pair[i].to);
    }
    free(s->pair);
    *s = (struct spelling){0};
}

/* " ".join of the words, each in its American spelling. */
static void step_spelling(const struct points *from, struct points *to, struct spelling *spelling)
{
    struct text word = {0};
    bool first = true;
    for (size_t i = 0; i < from->n;) {
        size_t start = i;
        while (i < from->n && !point_is_space(from->v[i]))
            i++;
        if (i > start) {
            struct points piece = {from->v + start, i - start, i - start, false};
            word.n = 0;
            if (points_to_utf8(&piece, &word) < 0)
                to->failed = true;
            const char *other = spelling && word.n ? spelling_find(spelling, word.s, word.n) : NULL;
            if (!first)
                points_add(to, ' ');
            first = false;
            if (other)
                points_from_utf8(to, other, strlen(other));
            else
                points_append(to, from->v + start, i - start);
        }
        while (i < from->n && point_is_space(from->v[i]))
            i++;
    }
    text_release(&word);
}

/* --- brackets and symbols ---------------------------------------------------------- */
void step_angles(const struct points *from, struct points *to)
{
    size_t close = 0;           /* the next closing bracket at or behind i, or n */
    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i] == '<' || from->v[i] == '[') {
            if (close <= i)
                close = i + 1;
            while (close < from->n && from->v[close] != '>' && from->v[close] != ']')
                close++;
            if (close < from->n) {
                i = close;
                continue;
            }
        }
        points_add(to, from->v[i]);
    }
}

void step_parentheses(const struct points *from, struct points *to)
{
    size_t close = 0;
    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i] == '(') {
            if (close <= i)
                close = i + 1;
            while (close < from->n && from->v[close] != ')')
                close++;
            if (close < from->n && close > i + 1) {
                i = close;
                continue;
            }
        }
        points_add(to, from->v[i]);
    }
}

/* Letters with strokes and ligatures, which NFKD leaves whole. */
static const char *plain_letter(uint32_t c)
{
    switch (c) {
    case 0x153: return "oe";
    case 0x152: return "OE";
    case 0xf8: return "o";
    case 0xd8: return "O";
    case 0xe6: return "ae";
    case 0xc6: return "AE";
    case 0xdf: return "ss";
    case 0x1e9e: return "SS";
    case 0x111: case 0xf0: return "d";
    case 0x110: case 0xd0: return "D";
    case 0xfe: case 0xde: return "th";
    case 0x142: return "l";
    case 0x141: return "L";
    default: return NULL;
    }
}

void step_symbols(const struct points *from, struct points *to, bool drop, const char *keep)
{
    struct points kept = {0};
    points_from_utf8(&kept, keep, strlen(keep));
    for (size_t i = 0; i < from->n; i++) {
        uint32_t c = from->v[i];
        const char *plain = drop ? plain_letter(c) : NULL;
        bool stays = false;
        for (size_t k = 0; k < kept.n; k++)
            stays = stays || kept.v[k] == c;
        if (stays)
            points_add(to, c);
        else if (plain)
            points_puts(to, plain);
        else if (!drop || !point_is_mark(c))
            points_add(to, point_is_symbol(c) ? ' ' : c);
    }
    to->failed = to->failed || kept.failed;
    points_release(&kept);
}

/* --- the two normalisers ------------------------------------------------------------- */
static void lower_and_brackets(struct points *a, struct points *b)
{
    points_lower(a, b);
    points_turn(a, b);
    step_angles(a, b);
    points_turn(a, b);
    step_parentheses(a, b);
    points_turn(a, b);
}

static void basic(const struct normalizer *n, struct points *a, struct points *b)
{
    lower_and_brackets(a, b);
    points_normal_form(a, b, !n->remove_diacritics);
    points_turn(a, b);
    step_symbols(a, b, n->remove_diacritics, "");
    points_turn(a, b);
    points_lower(a, b);
    points_turn(a, b);
    if (n->split_letters) {
        points_split(a, b);
        points_turn(a, b);
    }
}

/* [.$¢€£]([^0-9]) to " \1", then ([^0-9])% to "\1 ": signs that belong to no number. */
static void step_lone_signs(struct points *a, struct points *b)
{
    for (size_t i = 0; i < a->n; i++) {
        uint32_t c = a->v[i];
        bool sign = c == '.' || c == '$' || c == 0xa2 || c == 0x20ac || c == 0xa3;
        if (sign && i + 1 < a->n && !(a->v[i + 1] >= '0' && a->v[i + 1] <= '9')) {
            points_add(b, ' ');
            i++;
        }
        points_add(b, a->v[i]);
    }
    points_turn(a, b);
    for (size_t i = 0; i < a->n; i++) {
        points_add(b, a->v[i]);
        if (!(a->v[i] >= '0' && a->v[i] <= '9') && i + 1 < a->n && a->v[i + 1] == '%') {
            points_add(b, ' ');
            i++;
        }
    }
    points_turn(a, b);
}

static void english(const struct normalizer *n, struct points *a, struct points *b)
{
    lower_and_brackets(a, b);
    step_contractions(a, b);
    points_normal_form(a, b, false);
    points_turn(a, b);
    step_symbols(a, b, true, ".%$¢€£");
    points_turn(a, b);
    step_numbers(a, b);
    step_spelling(a, b, n->spelling);
    points_turn(a, b);
    step_lone_signs(a, b);
}

int normalize(const struct normalizer *n, const char *text, size_t size, struct text *out)
{
    if (n->kind == NORMALIZER_NONE)
        return text_add(out, text, size);
    struct points a = {0}, b = {0};
    points_from_utf8(&a, text, size);
    if (n->kind == NORMALIZER_BASIC)
        basic(n, &a, &b);
    else
        english(n, &a, &b);
    points_squeeze(&a, &b);
    b.failed = b.failed || a.failed;
    int rc = points_to_utf8(&b, out);
    points_release(&a);
    points_release(&b);
    return rc;
}

/* --- names ------------------------------------------------------------------------- */
static const char *const names[] = {"none", "basic", "english"};

bool normalizer_parse(const char *name, enum normalizer_kind *kind)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum normalizer_kind)i;
            return true;
        }
    return false;
}

const char *normalizer_name(enum normalizer_kind kind) { return names[kind]; }
