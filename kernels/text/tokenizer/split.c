/* kernels/text/tokenizer/split.c - see split.h */
#include "kernels/text/tokenizer/split.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/text/tokenizer/classes.h"
#include "kernels/text/utf8.h"

int space_is(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

int classes_make(struct classes *c)
{
    c->of = calloc(0x110000, 1);        /* pages of scripts that never occur are never touched again */
    if (!c->of)
        return -1;
    for (int i = 0; i < CLASS_LETTERS; i++)
        memset(c->of + class_letters[i][0], CLASS_LETTER, class_letters[i][1] - class_letters[i][0] + 1);
    for (int i = 0; i < CLASS_NUMBERS; i++)
        memset(c->of + class_numbers[i][0], CLASS_NUMBER, class_numbers[i][1] - class_numbers[i][0] + 1);
    for (uint32_t i = 0; i <= 0x3000; i++)
        if (space_is(i))
            c->of[i] = CLASS_SPACE;
    return 0;
}

void classes_release(struct classes *c)
{
    free(c->of);
    c->of = NULL;
}

/* 's 't 're 've 'm 'll 'd: their length, or 0. */
static size_t contraction(const char *s, size_t n)
{
    if (n < 2)
        return 0;
    switch (s[1]) {
    case 's': case 't': case 'm': case 'd':
        return 2;
    case 'r': case 'v':
        return n > 2 && s[2] == 'e' ? 3 : 0;
    case 'l':
        return n > 2 && s[2] == 'l' ? 3 : 0;
    default:
        return 0;
    }
}

size_t split_word(const struct classes *c, const char *s, size_t n)
{
    const unsigned char *of = c->of, *u = (const unsigned char *)s;
    size_t at = 0, last = 0, size;
    uint32_t point;
    unsigned char kind;

    if (*s == '\'' && (size = contraction(s, n)))
        return size;
    if (*s == ' ' && n > 1) {           /* one space goes with the word behind it */
        utf8_read(s + 1, &point);
        if (of[point] != CLASS_SPACE)
            at = 1;
    }
    at += utf8_read(s + at, &point);
    kind = of[point];
    while (at < n) {
        if (u[at] < 0x80) {
            if (of[u[at]] != kind)
                break;
            last = at++;
        } else {
            size = utf8_read(s + at, &point);
            if (of[point] != kind)
                break;
            last = at;
            at += size;
        }
    }
    /* the last of several white characters is left for what follows */
    return kind == CLASS_SPACE && at < n && last ? last : at;
}
