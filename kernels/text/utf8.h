/* kernels/text/utf8.h - UTF-8, one sequence at a time
 *
 * What is well formed follows Unicode's table 3-7: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
#ifndef PENSTOCK_UTF8_H
#define PENSTOCK_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The sequence at p (p < end): its length if it is well formed, else minus the
 * length of its longest prefix that could have begun one (1 at least): what
 * becomes one U+FFFD. */
int utf8_next(const unsigned char *p, const unsigned char *end);
/* How many bytes of s[0, n) are well formed: n if all are. */
size_t utf8_valid(const char *s, size_t n);
/* Writes the code point c (a scalar value) to `to`, 4 bytes at most; returns its length. */
int utf8_put(char *to, uint32_t c);

/* Reads one code point of well-formed text and returns its length. */
static inline size_t utf8_read(const char *s, uint32_t *c)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    if (p[0] < 0xe0) {
        *c = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return 2;
    }
    if (p[0] < 0xf0) {
        *c = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        return 3;
    }
    *c = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    return 4;
}

#endif
