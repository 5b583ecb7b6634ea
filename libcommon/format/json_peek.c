/* libcommon/format/json_peek.c - see json_peek.h */
#include "libcommon/format/json_peek.h"

#include <string.h>

struct eye { const uint8_t *p, *end; };

static uint8_t next_token(struct eye *y)
{
    while (y->p < y->end && (*y->p == ' ' || *y->p == '\t' || *y->p == '\r' || *y->p == '\n'))
        y->p++;
    return y->p < y->end ? *y->p : 0;
}

/* From the opening quote to behind the closing one. */
static bool string_pass(struct eye *y, struct span *text, bool *plain)
{
    const uint8_t *start = ++y->p;
    *plain = true;
    while (y->p < y->end && *y->p != '"') {
        bool escape = *y->p == '\\';
        *plain = *plain && !escape;
        y->p += escape && y->p + 1 < y->end ? 2 : 1;
    }
    if (y->p == y->end)
        return false;
    *text = span_of(start, (size_t)(y->p++ - start));
    return true;
}

/* Up to the comma or brace that ends the value. */
static bool value_pass(struct eye *y)
{
    struct span text;
    bool plain;
    for (unsigned depth = 0;;) {
        uint8_t c = next_token(y);
        if (c == 0)
            return false;
        if (c == '"') {
            if (!string_pass(y, &text, &plain))
                return false;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}'))
            return true;
        depth += c == '{' || c == '[';
        depth -= depth && (c == '}' || c == ']');
        y->p++;
    }
}

static int value_read(struct eye *y, struct span *value)
{
    bool plain;
    uint8_t c = next_token(y);
    if (c == '"')
        return string_pass(y, value, &plain) && plain ? 1 : -1;
    const uint8_t *start = y->p;
    while (y->p < y->end && *y->p >= '0' && *y->p <= '9')
        y->p++;
    *value = span_of(start, (size_t)(y->p - start));
    if (value->size == 0 || value->size > 18 || (*start == '0' && value->size > 1))
        return -1;
    c = next_token(y);
    return c == ',' || c == '}' ? 1 : -1;
}

int json_peek(struct span line, const char *key, struct span *value)
{
    struct eye y = { line.data, line.data + line.size };
    size_t n = strlen(key);
    if (next_token(&y) != '{')
        return -1;
    y.p++;
    for (;;) {
        struct span name;
        bool plain;
        uint8_t c = next_token(&y);
        if (c == '}')
            return 0;
        if (c != '"' || !string_pass(&y, &name, &plain) || !plain || next_token(&y) != ':')
            return -1;
        y.p++;
        if (name.size == n && !memcmp(name.data, key, n))
            return value_read(&y, value);
        if (!value_pass(&y))
            return -1;
        c = next_token(&y);
        if (c == '}')
            return 0;
        if (c != ',')
            return -1;
        y.p++;
    }
}
