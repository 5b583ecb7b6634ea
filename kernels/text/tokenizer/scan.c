/* kernels/text/tokenizer/scan.c - see scan.h */
#include "kernels/text/tokenizer/scan.h"

#include <stdio.h>
#include <string.h>

#include "kernels/linalg/compute.h"
#include "kernels/text/utf8.h"

int scan_fail(struct scan *s, const char *what)
{
    snprintf(s->why, WHY, "%s at byte %zu", what, (size_t)(s->p - s->start));
    return -1;
}

int scan_begin(struct scan *s, const char *text, size_t n, char *why)
{
    size_t valid = utf8_valid(text, n);

    *s = (struct scan){ .start = text, .p = text + valid, .end = text + n, .why = why };
    if (valid < n)
        return scan_fail(s, "not UTF-8");
    s->p = text;
    return 0;
}

char scan_peek(struct scan *s)
{
    const char *p = s->p, *end = s->end;

    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
        while (end - p >= 8 && !memcmp(p, "        ", 8))       /* indented files are mostly this */
            p += 8;
    }
    s->p = p;
    return p < end ? *p : 0;
}

/* Passes over white space and the character c. */
static int expect(struct scan *s, char c, const char *what)
{
    if (scan_peek(s) != c || s->p == s->end)
        return scan_fail(s, what);
    s->p++;
    return 0;
}

int scan_open(struct scan *s, char bracket)
{
    return expect(s, bracket, bracket == '{' ? "not an object" : "not a list");
}

/* Between the members of an object or list: 1 if one follows, 0 if it is closed. */
static int member(struct scan *s, bool *first, char close)
{
    char c = scan_peek(s);

    if (c == close) {
        s->p++;
        return 0;
    }
    if (!*first && expect(s, ',', "no comma or closing bracket"))
        return -1;
    *first = false;
    return 1;
}

int scan_item(struct scan *s, bool *first)
{
    return member(s, first, ']');
}

int scan_key(struct scan *s, bool *first, struct str *key, struct text *spare)
{
    int r = member(s, first, '}');

    if (r <= 0)
        return r;
    if (scan_string(s, key, spare) || expect(s, ':', "no colon after a key"))
        return -1;
    return 1;
}

static int hex4(struct scan *s, uint32_t *to)
{
    uint32_t v = 0;

    if (s->end - s->p < 4)
        return scan_fail(s, "a \\u escape is cut short");
    for (int i = 0; i < 4; i++, s->p++) {
        char c = *s->p;
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
                c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0)
            return scan_fail(s, "a \\u escape without four hex digits");
        v = v << 4 | (uint32_t)d;
    }
    *to = v;
    return 0;
}

/* The escape behind a backslash (already passed), appended to `spare`. */
static int escape(struct scan *s, struct text *spare)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;
    char out[4];
    const char *hit;

    if (s->p == s->end || !*s->p)
        return scan_fail(s, "an escape is cut short");
    if (*s->p != 'u') {
        if (!(hit = strchr(from, *s->p)))
            return scan_fail(s, "an unknown escape");
        s->p++;
        return text_add(spare, &to[hit - from], 1) ? scan_fail(s, "out of memory") : 0;
    }
    s->p++;
    if (hex4(s, &c))
        return -1;
    if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u') {
        s->p += 2;
        if (hex4(s, &low))
            return -1;
        if (low >= 0xdc00 && low < 0xe000)
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c >= 0xd800 && c < 0xe000)
        return scan_fail(s, "half of a surrogate pair");
    return text_add(spare, out, (size_t)utf8_put(out, c)) ? scan_fail(s, "out of memory") : 0;
}

int scan_string(struct scan *s, struct str *to, struct text *spare)
{
    const char *begin;
    bool escaped = false;

    if (expect(s, '"', "not a string"))
        return -1;
    begin = s->p;
    spare->n = 0;
    for (;;) {
        while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20)
            s->p++;
        if (s->p == s->end)
            return scan_fail(s, "a string that does not end");
        if ((unsigned char)*s->p < 0x20)
            return scan_fail(s, "a control character in a string");
        if (*s->p == '"' && !escaped) {
            *to = str_of(begin, (size_t)(s->p++ - begin));
            return 0;
        }
        if (text_add(spare, begin, (size_t)(s->p - begin)))
            return scan_fail(s, "out of memory");
        if (*s->p++ == '"') {
            *to = str_of(spare->s, spare->n);
            return 0;
        }
        if (escape(s, spare))
            return -1;
        escaped = true;
        begin = s->p;
    }
}

int scan_int(struct scan *s, int64_t *to)
{
    int64_t v = 0;
    bool minus = scan_peek(s) == '-';
    const char *begin;

    s->p += minus;
    begin = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && s->p - begin < 15)
        v = v * 10 + (*s->p++ - '0');
    if (s->p == begin || (s->p < s->end && strchr("0123456789.eE", *s->p) && *s->p))
        return scan_fail(s, "not a whole number");
    *to = minus ? -v : v;
    return 0;
}

static int literal(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n))
        return scan_fail(s, "not a JSON value");
    s->p += n;
    return 0;
}

int scan_bool(struct scan *s, bool *to)
{
    *to = scan_peek(s) == 't';
    return literal(s, *to ? "true" : "false");
}

/* Passes over a string without decoding it. */
static int skip_string(struct scan *s)
{
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\' && s->end - s->p >= 2)
            s->p++;
    if (s->p == s->end)
        return scan_fail(s, "a string that does not end");
    s->p++;
    return 0;
}

int scan_skip(struct scan *s, struct scan *whole)
{
    char close[SCAN_DEPTH], c = scan_peek(s);
    const char *begin = s->p;
    int depth = 0;

    /* Brackets and strings are followed, commas and colons are not checked: nothing is taken from here. */
    do {
        switch (c) {
        case '{': case '[':
            if (depth == SCAN_DEPTH)
                return scan_fail(s, "values nested too deep");
            close[depth++] = c == '{' ? '}' : ']';
            s->p++;
            break;
        case '}': case ']':
            if (!depth || close[depth - 1] != c)
                return scan_fail(s, "a closing bracket too many");
            depth--;
            s->p++;
            break;
        case '"':
            if (skip_string(s))
                return -1;
            break;
        case ',': case ':':
            if (!depth)
                return scan_fail(s, "not a JSON value");
            s->p++;
            break;
        case 't': if (literal(s, "true")) return -1; break;
        case 'f': if (literal(s, "false")) return -1; break;
        case 'n': if (literal(s, "null")) return -1; break;
        default:
            if (!(c == '-' || (c >= '0' && c <= '9')))
                return scan_fail(s, s->p == s->end ? "the text ends early" : "not a JSON value");
            while (s->p < s->end && *s->p && strchr("+-0123456789.eE", *s->p))
                s->p++;
        }
    } while (depth && (c = scan_peek(s), true));
    if (whole)
        *whole = (struct scan){ s->start, begin, s->p, s->why };
    return 0;
}

struct scan scan_find(struct scan in, const char *key)
{
    struct scan value = { in.start, in.end, in.end, in.why }, hit = value;
    struct text spare = { 0 };
    struct str k;
    char why[WHY], *outer = in.why;

    in.why = why;                       /* a value that is not there is no error */
    if (!scan_open(&in, '{'))
        for (bool first = true; scan_key(&in, &first, &k, &spare) > 0 && !scan_skip(&in, &value);)
            if (k.n == strlen(key) && !memcmp(k.s, key, k.n)) {
                hit = value;
                hit.why = outer;
            }
    text_release(&spare);
    return hit;
}

bool scan_is(struct scan value, const char *text)
{
    struct text spare = { 0 };
    struct str got;
    char why[WHY];
    bool same;

    value.why = why;
    same = scan_peek(&value) == '"' && !scan_string(&value, &got, &spare) && got.n == strlen(text) &&
           !memcmp(got.s, text, got.n);
    text_release(&spare);
    return same;
}

bool scan_true(struct scan value)
{
    return scan_peek(&value) == 't';
}

bool scan_none(struct scan value)
{
    char c = scan_peek(&value);

    return c == 0 || c == 'n' || c == 'f' || scan_is(value, "");
}
