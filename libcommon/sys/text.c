/* libcommon/sys/text.c - see text.h */
#include "libcommon/sys/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

/* Length of the character at s, or 0 if it is none. */
static size_t character(const uint8_t *s, size_t n)
{
    if (*s < 0x80)
        return 1;
    utf8proc_int32_t c;
    utf8proc_ssize_t got = utf8proc_iterate(s, n > 4 ? 4 : (utf8proc_ssize_t)n, &c);
    return got > 0 ? (size_t)got : 0;
}

bool text_is_utf8(const void *text, size_t n)
{
    const uint8_t *s = text;
    while (n) {
        size_t c = character(s, n);
        if (!c)
            return false;
        s += c;
        n -= c;
    }
    return true;
}

void text_put_utf8(struct buf *b, const void *text, size_t n)
{
    const uint8_t *s = text;
    while (n) {
        size_t c = character(s, n);
        if (c)
            buf_append(b, s, c);
        else
            buf_append(b, "\xef\xbf\xbd", 3);
        c += !c;
        s += c;
        n -= c;
    }
}

void text_put_json(struct buf *b, const void *text, size_t n)
{
    const uint8_t *s = text;
    buf_append(b, "\"", 1);
    while (n) {
        size_t c = character(s, n);
        if (!c)
            buf_append(b, "\xef\xbf\xbd", 3);
        else if (*s == '"' || *s == '\\')
            buf_printf(b, "\\%c", *s);
        else if (*s == '\n')
            buf_append(b, "\\n", 2);
        else if (*s == '\t')
            buf_append(b, "\\t", 2);
        else if (*s < 0x20 || *s == 0x7f)
            buf_printf(b, "\\u%04x", *s);
        else
            buf_append(b, s, c);
        c += !c;
        s += c;
        n -= c;
    }
    buf_append(b, "\"", 1);
}

void text_put_json_real(struct buf *b, double v)
{
    if (!isfinite(v)) {
        buf_append(b, "null", 4);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_printf(b, "%s", text);
}
