/* kernels/text/normalize/points.h - a text as code points, and what the normalisers ask about them
 *
 * Once an addition fails for lack of memory the list is marked and stays as it
 * is, so that a writer may look once, at the end. */
#ifndef PENSTOCK_NORMALIZE_POINTS_H
#define PENSTOCK_NORMALIZE_POINTS_H

#include <stdbool.h>

#include "kernels/text/grow.h"

struct points {                 /* starts as { 0 } */
    uint32_t *v;
    size_t n, room;
    bool failed;
};

void points_add(struct points *p, uint32_t c);
void points_append(struct points *p, const uint32_t *v, size_t n);
void points_puts(struct points *p, const char *ascii);
void points_release(struct points *p);
/* Exchanges the two and empties `to`: what was written becomes what is read next. */
void points_turn(struct points *from, struct points *to);
bool points_are(const uint32_t *v, size_t n, const char *ascii);

void points_from_utf8(struct points *p, const char *text, size_t n);
int points_to_utf8(const struct points *p, struct text *out);          /* -1 out of memory */

/* Python's str.isspace, [0-9a-zA-Z...] of its regular expressions (\w), decimal digits (\d). */
bool point_is_space(uint32_t c);
bool point_is_word(uint32_t c);
bool point_is_digit(uint32_t c);
/* What a decimal digit of any script counts: 0 to 9. */
int point_digit(uint32_t c);
/* A mark, a symbol or punctuation. */
bool point_is_symbol(uint32_t c);
/* A mark that takes no room of its own (category Mn). */
bool point_is_mark(uint32_t c);

/* Python's str.lower: with the final sigma, and the dotted capital I in two. */
void points_lower(const struct points *from, struct points *to);
/* NFKC (compose) or NFKD. */
void points_normal_form(const struct points *from, struct points *to, bool compose);
/* A space between graphemes. */
void points_split(const struct points *from, struct points *to);
/* Runs of white space become one space. */
void points_squeeze(const struct points *from, struct points *to);

#endif
