/* kernels/text/normalize/words.c - see words.h */
#include "kernels/text/normalize/words.h"

#include <stdbool.h>
#include <string.h>

enum { LONGEST = 24 };

static const char *const ones[] = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
                                   "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
                                       "nineteen"};
/* + ty, ties, tieth */
static const char *const tens[] = {"twen", "thir", "for", "fif", "six", "seven", "eigh", "nine"};

static const struct { const char *name; int power; } multipliers[] = {
    {"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}, {"quadrillion", 15},
    {"quintillion", 18}, {"sextillion", 21}, {"septillion", 24}, {"octillion", 27}, {"nonillion", 30}, {"decillion", 33},
};

static const struct { const char *name; struct word word; } others[] = {
    {"o", {WORD_ZERO, 0, ""}}, {"oh", {WORD_ZERO, 0, ""}}, {"zero", {WORD_ZERO, 0, ""}},
    {"zeroth", {WORD_ONE_SUFFIXED, 0, "th"}}, {"first", {WORD_ONE_SUFFIXED, 1, "st"}},
    {"second", {WORD_ONE_SUFFIXED, 2, "nd"}}, {"third", {WORD_ONE_SUFFIXED, 3, "rd"}},
    {"fifth", {WORD_ONE_SUFFIXED, 5, "th"}}, {"twelfth", {WORD_ONE_SUFFIXED, 12, "th"}},
    {"eighth", {WORD_ONE_SUFFIXED, 8, "th"}}, {"sixes", {WORD_ONE_SUFFIXED, 6, "s"}},
    {"minus", {WORD_SIGN, 0, "-"}}, {"negative", {WORD_SIGN, 0, "-"}}, {"plus", {WORD_SIGN, 0, "+"}},
    {"positive", {WORD_SIGN, 0, "+"}},
    {"pound", {WORD_CURRENCY, 0, "£"}}, {"pounds", {WORD_CURRENCY, 0, "£"}}, {"euro", {WORD_CURRENCY, 0, "€"}},
    {"euros", {WORD_CURRENCY, 0, "€"}}, {"dollar", {WORD_CURRENCY, 0, "$"}}, {"dollars", {WORD_CURRENCY, 0, "$"}},
    {"cent", {WORD_CURRENCY, 0, "¢"}}, {"cents", {WORD_CURRENCY, 0, "¢"}},
    {"percent", {WORD_PERCENT, 0, "%"}}, {"per", {WORD_PER, 0, "%"}},
    {"and", {WORD_AND, 0, ""}}, {"double", {WORD_DOUBLE, 2, ""}}, {"triple", {WORD_TRIPLE, 3, ""}},
        {"point", {WORD_POINT, 0, ""}},
};

/* What follows `stem` in `word`, or NULL if it begins otherwise. */
static const char *behind(const char *word, const char *stem)
{
    size_t n = strlen(stem);
    return strncmp(word, stem, n) == 0 ? word + n : NULL;
}

/* A cardinal takes s for its plural and th for its ordinal; irregular ones are in `others`.  So
 * "nineth" is one here, and "ninth" is not: as in the normaliser that scores are compared with. */
static bool one_find(const char *word, struct word *w)
{
    for (int i = 0; i < 19; i++) {
        const char *rest = behind(word, ones[i]);
        if (!rest)
            continue;
        bool irregular = i + 1 <= 3 || i + 1 == 5 || i + 1 == 12 || i + 1 == 8;
        *w = (struct word){!*rest ? WORD_ONE : WORD_ONE_SUFFIXED, i + 1, strcmp(rest, "th") == 0 ? "th" : "s"};
        if (!*rest || (strcmp(rest, "s") == 0 && i + 1 != 6) || (strcmp(rest, "th") == 0 && !irregular))
            return true;
    }
    return false;
}

static bool ten_find(const char *word, struct word *w)
{
    for (int i = 0; i < 8; i++) {
        const char *rest = behind(word, tens[i]);
        *w = (struct word){WORD_TEN_SUFFIXED, 10 * (i + 2), "s"};
        if (!rest)
            continue;
        if (strcmp(rest, "ties") == 0)
            return true;
        w->kind = strcmp(rest, "ty") == 0 ? WORD_TEN : WORD_TEN_SUFFIXED;
        w->suffix = "th";
        if (w->kind == WORD_TEN || strcmp(rest, "tieth") == 0)
            return true;
    }
    return false;
}

static bool multiplier_find(const char *word, struct word *w)
{
    for (size_t i = 0; i < sizeof multipliers / sizeof *multipliers; i++) {
        const char *rest = behind(word, multipliers[i].name);
        if (!rest || (*rest && strcmp(rest, "s") != 0 && strcmp(rest, "th") != 0))
            continue;
        enum word_kind kind = *rest ? WORD_MULTIPLIER_SUFFIXED : WORD_MULTIPLIER;
        *w = (struct word){kind, multipliers[i].power, *rest == 't' ? "th" : "s"};
        return true;
    }
    return false;
}

struct word word_find(const uint32_t *v, size_t n)
{
    char word[LONGEST];
    struct word w = {WORD_OTHER, 0, ""};
    if (n >= LONGEST)
        return w;
    for (size_t i = 0; i < n; i++) {
        if (v[i] < 'a' || v[i] > 'z')
            return w;
        word[i] = (char)v[i];
    }
    word[n] = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(word, others[i].name) == 0)
            return others[i].word;
    if (one_find(word, &w) || ten_find(word, &w) || multiplier_find(word, &w))
        return w;
    return (struct word){WORD_OTHER, 0, ""};
}
