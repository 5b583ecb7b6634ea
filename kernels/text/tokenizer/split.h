/* kernels/text/tokenizer/split.h - GPT-2's rule for where words begin and end
 *
 * The pattern of GPT-2 and Whisper,
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * as a scanner over our own table of Unicode 16's classes: a regular expression
 * library brings the classes of the Unicode version it was built with (Debian
 * 12's PCRE2: 14), and then two hosts would cut the same text differently. */
#ifndef PENSTOCK_SPLIT_H
#define PENSTOCK_SPLIT_H

#include <stddef.h>
#include <stdint.h>

enum char_class { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE };

struct classes {
    unsigned char *of;          /* by code point, 0x110000 of them */
};

int classes_make(struct classes *c);        /* -1: out of memory */
void classes_release(struct classes *c);

/* Unicode's White_Space; needs no table. */
int space_is(uint32_t c);

/* The length of the first word of the well-formed text s[0, n), n > 0. */
size_t split_word(const struct classes *c, const char *s, size_t n);

#endif
