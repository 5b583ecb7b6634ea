/* kernels/text/normalize/edges.c - what is mended before and after number words become digits */
#include <string.h>

#include "kernels/text/normalize/steps.h"
#include "kernels/text/normalize/words.h"

/* --- before: boundaries, and halves ------------------------------------------------------- */

/* Where a match of \band\s+a\s+half\b at i ends, or 0. */
static size_t half_match(const struct points *p, size_t i)
{
    static const char *const words[] = {"and", "a", "half"};
    if (!word_begins(p, i))
        return 0;
    for (int k = 0; k < 3; k++) {
        size_t n = strlen(words[k]), space = i;
        while (k && space < p->n && point_is_space(p->v[space]))
            space++;
        if ((k && space == i) || p->n - space < n || !points_are(p->v + space, n, words[k]))
            return 0;
        i = space + n;
    }
    return word_ends(p, i) ? i : 0;
}

/* Is the last word of v[0, n) one that a half may follow: a number, or hundred, thousand ...? */
static bool half_follows(const uint32_t *v, size_t n)
{
    while (n && point_is_space(v[n - 1]))
        n--;
    size_t start = n;
    while (start && !point_is_space(v[start - 1]))
        start--;
    enum word_kind k = word_find(v + start, n - start).kind;
    return k == WORD_ONE || k == WORD_TEN || k == WORD_ZERO || k == WORD_MULTIPLIER;
}

static bool blank(const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!point_is_space(v[i]))
            return false;
    return true;
}

/* "<number> and a half" to "<number> point five". */
void step_halves(const struct points *from, struct points *to)
{
    for (size_t i = 0, start = 0; i <= from->n; i++) {
        size_t end = i < from->n ? half_match(from, i) : 0;
        if (!end && i < from->n)
            continue;
        if (!blank(from->v + start, i - start)) {
            if (to->n)
                points_add(to, ' ');
            points_append(to, from->v + start, i - start);
            if (end)
                points_puts(to, half_follows(from->v + start, i - start) ? " point five" : " and a half");
        }
        if (end) {
            start = end;
            i = end - 1;
        }
    }
}

static bool is_letter(uint32_t c) { return c >= 'a' && c <= 'z'; }
static bool is_figure(uint32_t c) { return c >= '0' && c <= '9'; }

/* A space between letters and figures. */
void step_boundaries(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        uint32_t c = from->v[i], last = i ? from->v[i - 1] : 0;
        if ((is_letter(last) && is_figure(c)) || (is_figure(last) && is_letter(c)))
            points_add(to, ' ');
        points_add(to, c);
    }
}

/* ([0-9])\s+(st|nd|rd|th|s)\b to \1\2: but suffixes stay. */
void step_suffixes(const struct points *from, struct points *to)
{
    static const char *const suffixes[] = {"st", "nd", "rd", "th", "s"};
    for (size_t i = 0; i < from->n; i++) {
        points_add(to, from->v[i]);
        if (!is_figure(from->v[i]))
            continue;
        size_t space = i + 1;
        while (space < from->n && point_is_space(from->v[space]))
            space++;
        if (space == i + 1)
            continue;
        for (int k = 0; k < 5; k++) {
            size_t n = strlen(suffixes[k]);
            if (from->n - space >= n && points_are(from->v + space, n, suffixes[k]) && word_ends(from, space + n)) {
                points_puts(to, suffixes[k]);
                i = space + n - 1;
                break;
            }
        }
    }
}

/* --- after: cents, and the word one ---------------------------------------------------------- */
static bool is_currency(uint32_t c) { return c == 0x20ac || c == 0xa3 || c == '$'; }

/* One or two figures at i that end a word: how many, else 0. */
static size_t cents_at(const struct points *p, size_t i)
{
    size_t n = 0;
    while (n < 2 && i + n < p->n && is_figure(p->v[i + n]))
        n++;
    return n && word_ends(p, i + n) ? n : 0;
}

/* ([EUR GBP $])([0-9]+) (?:and )?c([0-9]{1,2})\b: "$2 and c7" to "$2.07" */
void step_cents_combine(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        points_add(to, from->v[i]);
        size_t end = i + 1;
        while (is_currency(from->v[i]) && end < from->n && is_figure(from->v[end]))
            end++;
        size_t sign = end + 1;
        if (end == i + 1 || end >= from->n || from->v[end] != ' ')
            continue;
        if (from->n - sign >= 4 && points_are(from->v + sign, 4, "and "))
            sign += 4;
        size_t cents = sign < from->n && from->v[sign] == 0xa2 ? cents_at(from, sign + 1) : 0;
        if (!cents)
            continue;
        points_append(to, from->v + i + 1, end - i - 1);
        points_puts(to, cents == 1 ? ".0" : ".");
        points_append(to, from->v + sign + 1, cents);
        i = sign + cents;
    }
}

/* [EUR GBP $]0.([0-9]{1,2})\b, where the stop is any character: "$0.07" to "c7" */
void step_cents_extract(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        bool match = is_currency(from->v[i]) && i + 2 < from->n && from->v[i + 1] == '0' && from->v[i + 2] != '\n';
        size_t cents = match ? cents_at(from, i + 3) : 0;
        if (!cents) {
            points_add(to, from->v[i]);
            continue;
        }
        points_add(to, 0xa2);
        size_t zeros = cents == 2 && from->v[i + 3] == '0';
        points_append(to, from->v + i + 3 + zeros, cents - zeros);
        i += 2 + cents;
    }
}

/* \b1(s?)\b to one\1 */
void step_ones(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        bool one = from->v[i] == '1' && word_begins(from, i);
        bool many = one && i + 1 < from->n && from->v[i + 1] == 's' && word_ends(from, i + 2);
        if (many || (one && word_ends(from, i + 1)))
            points_puts(to, "one");
        else
            points_add(to, from->v[i]);
    }
}
