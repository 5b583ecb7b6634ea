/* kernels/text/normalize/points.c - see points.h */
#include "kernels/text/normalize/points.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "kernels/text/utf8.h"

static int reserve(struct points *p, size_t more)
{
    if (!p->failed && grow(&p->v, &p->room, p->n, more, sizeof *p->v) < 0)
        p->failed = true;
    return p->failed ? -1 : 0;
}

void points_add(struct points *p, uint32_t c)
{
    if (reserve(p, 1) == 0)
        p->v[p->n++] = c;
}

void points_append(struct points *p, const uint32_t *v, size_t n)
{
    if (n && reserve(p, n) == 0) {
        memcpy(p->v + p->n, v, n * sizeof *v);
        p->n += n;
    }
}

void points_puts(struct points *p, const char *ascii)
{
    for (; *ascii; ascii++)
        points_add(p, (uint8_t)*ascii);
}

void points_release(struct points *p)
{
    free(p->v);
    *p = (struct points){0};
}

void points_turn(struct points *from, struct points *to)
{
    struct points was = *from;
    bool failed = from->failed || to->failed;
    *from = *to;
    *to = was;
    to->n = 0;
    from->failed = to->failed = failed;
}

bool points_are(const uint32_t *v, size_t n, const char *ascii)
{
    for (size_t i = 0; i < n; i++)
        if (!ascii[i] || v[i] != (uint8_t)ascii[i])
            return false;
    return !ascii[n];
}

void points_from_utf8(struct points *p, const char *text, size_t n)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + n;
    while (at < end) {
        uint32_t c = 0xfffd;
        int size = utf8_next(at, end);
        if (size > 0)
            utf8_read((const char *)at, &c);
        points_add(p, c);
        at += size > 0 ? size : -size;
    }
}

int points_to_utf8(const struct points *p, struct text *out)
{
    if (p->failed || text_reserve(out, 4 * p->n) < 0)
        return -1;
    for (size_t i = 0; i < p->n; i++)
        out->n += (size_t)utf8_put(out->s + out->n, p->v[i]);
    return 0;
}

/* --- classes ----------------------------------------------------------------- */
static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

bool point_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0x2028 || c == 0x2029 ||
           (c > 0x7f && category(c) == UTF8PROC_CATEGORY_ZS);
}

bool point_is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    switch (category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

bool point_is_digit(uint32_t c)
{
    return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

/* Unicode's decimal digits come in runs of ten, 0 first. */
int point_digit(uint32_t c)
{
    uint32_t first = c;
    while (first > 0 && point_is_digit(first - 1))
        first--;
    return (int)((c - first) % 10);
}

bool point_is_mark(uint32_t c) { return c > 0x7f && category(c) == UTF8PROC_CATEGORY_MN; }

bool point_is_symbol(uint32_t c)
{
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS: case UTF8PROC_CATEGORY_PE: case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF: case UTF8PROC_CATEGORY_PO: case UTF8PROC_CATEGORY_SM: case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK: case UTF8PROC_CATEGORY_SO:
        return true;
    default:
        return false;
    }
}

/* --- lower case ------------------------------------------------------------------ */
static bool is_cased(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Case_Ignorable: marks, formats, modifiers, and the punctuation that may stand inside words. */
static bool is_case_ignorable(uint32_t c)
{
    static const uint32_t inside[] = {0x27, 0x2e, 0x3a, 0xb7, 0x387, 0x55f, 0x5f4, 0x2018, 0x2019, 0x2024, 0x2027,
                                      0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (c == inside[i])
            return true;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* A sigma behind a letter of a cased script, with none of them behind it. */
static bool is_final_sigma(const struct points *p, size_t at)
{
    size_t before = at, after = at + 1;
    while (before > 0 && is_case_ignorable(p->v[before - 1]))
        before--;
    while (after < p->n && is_case_ignorable(p->v[after]))
        after++;
    return before > 0 && is_cased(p->v[before - 1]) && !(after < p->n && is_cased(p->v[after]));
}

void points_lower(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        uint32_t c = from->v[i];
        if (c == 0x130) {
            points_add(to, 'i');
            points_add(to, 0x307);
        } else if (c == 0x3a3) {
            points_add(to, is_final_sigma(from, i) ? 0x3c2 : 0x3c3);
        } else {
            points_add(to, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
        }
    }
}

/* --- forms, graphemes, spaces -------------------------------------------------------- */
void points_normal_form(const struct points *from, struct points *to, bool compose)
{
    utf8proc_option_t options = UTF8PROC_COMPAT | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
    struct text utf8 = {0};
    if (points_to_utf8(from, &utf8) < 0 || text_add(&utf8, "", 1) < 0) {
        to->failed = true;
        text_release(&utf8);
        return;
    }
    utf8proc_uint8_t *formed = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)utf8.s, (utf8proc_ssize_t)(utf8.n - 1), &formed, options);
    if (n < 0)
        to->failed = true;
    else
        points_from_utf8(to, (const char *)formed, (size_t)n);
    free(formed);
    text_release(&utf8);
}

void points_split(const struct points *from, struct points *to)
{
    utf8proc_int32_t state = 0;
    for (size_t i = 0; i < from->n; i++) {
        if (i && utf8proc_grapheme_break_stateful((utf8proc_int32_t)from->v[i - 1], (utf8proc_int32_t)from->v[i], &state))
            points_add(to, ' ');
        points_add(to, from->v[i]);
    }
}

void points_squeeze(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++)
        if (!point_is_space(from->v[i]))
            points_add(to, from->v[i]);
        else if (i == 0 || !point_is_space(from->v[i - 1]))
            points_add(to, ' ');
}
