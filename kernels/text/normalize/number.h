/* kernels/text/normalize/number.h - a number as it is put together from words: its digits, however many */
#ifndef PENSTOCK_NORMALIZE_NUMBER_H
#define PENSTOCK_NORMALIZE_NUMBER_H

#include "kernels/text/normalize/points.h"

/* A whole number can be added to; text (leading zeros, a point, digits said one by one) only grows at its end. */
enum number_kind { NUMBER_NONE, NUMBER_WHOLE, NUMBER_TEXT };

struct number {                 /* starts as { 0 } */
    enum number_kind kind;
    struct points digits;
};

void number_clear(struct number *n);
void number_release(struct number *n);
/* 10^power times `value`. */
void number_set(struct number *n, int value, int power);
/* digits(.digits), of any script, as Python reads it: whole if its fraction is 0, else the text itself. */
void number_read(struct number *n, const uint32_t *v, size_t count);
/* Is it a number at all: \d+(\.\d+)? */
bool number_is(const uint32_t *v, size_t count);

/* Do the last `count` digits of a whole number hold 0? */
bool number_ends_in_zeros(const struct number *n, size_t count);
/* Adds a value of `count` digits to such a number. */
void number_add(struct number *n, int value, size_t count);
/* Becomes text with these digits behind it. */
void number_join(struct number *n, int value);
/* What stands in the last three digits is multiplied; what stands before them is kept and added. */
void number_scale_tail(struct number *n, int power);
/* All of it times 10^power, if it can be read as a number and that is whole: true.  Else it is left as it is. */
bool number_scale(struct number *n, int power);

#endif
