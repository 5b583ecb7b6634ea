/* kernels/text/normalize/number.c - see number.h */
#include "kernels/text/normalize/number.h"

#include <stdio.h>
#include <string.h>

void number_clear(struct number *n)
{
    n->kind = NUMBER_NONE;
    n->digits.n = 0;
}

void number_release(struct number *n) { points_release(&n->digits); }

static void value_put(struct points *p, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    points_puts(p, text);
}

/* A whole number has no leading zeros, and 0 has one digit. */
static void zeros_trim(struct points *p)
{
    size_t zeros = 0;
    while (zeros + 1 < p->n && p->v[zeros] == '0')
        zeros++;
    if (zeros)
        memmove(p->v, p->v + zeros, (p->n - zeros) * sizeof *p->v);
    p->n -= zeros;
}

void number_set(struct number *n, int value, int power)
{
    number_clear(n);
    n->kind = NUMBER_WHOLE;
    value_put(&n->digits, value);
    for (int i = 0; i < power; i++)
        points_add(&n->digits, '0');
}

bool number_is(const uint32_t *v, size_t count)
{
    size_t i = 0;
    while (i < count && point_is_digit(v[i]))
        i++;
    if (i == 0 || i == count)
        return i > 0;
    size_t point = i++;
    while (i < count && point_is_digit(v[i]))
        i++;
    return v[point] == '.' && i == count && i > point + 1;
}

void number_read(struct number *n, const uint32_t *v, size_t count)
{
    size_t point = 0, end = count;
    while (point < count && v[point] != '.')
        point++;
    while (end > point + 1 && point_digit(v[end - 1]) == 0)
        end--;
    number_clear(n);
    n->kind = end > point + 1 ? NUMBER_TEXT : NUMBER_WHOLE;
    if (n->kind == NUMBER_TEXT) {
        points_append(&n->digits, v, count);
        return;
    }
    for (size_t i = 0; i < point; i++)
        points_add(&n->digits, '0' + (uint32_t)point_digit(v[i]));
    zeros_trim(&n->digits);
}

bool number_ends_in_zeros(const struct number *n, size_t count)
{
    const struct points *d = &n->digits;
    if (d->n == 1 && d->v[0] == '0')
        return true;
    if (d->n < count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (d->v[d->n - 1 - i] != '0')
            return false;
    return true;
}

void number_add(struct number *n, int value, size_t count)
{
    n->digits.n -= n->digits.n < count ? n->digits.n : count;
    value_put(&n->digits, value);
}

void number_join(struct number *n, int value)
{
    n->kind = NUMBER_TEXT;
    value_put(&n->digits, value);
}

/* a += b, of decimal digits. */
static void digits_add(struct points *a, const struct points *b)
{
    struct points sum = {0};
    size_t n = a->n > b->n ? a->n : b->n;
    uint32_t carry = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t d = carry + (i < a->n ? a->v[a->n - 1 - i] - '0' : 0) + (i < b->n ? b->v[b->n - 1 - i] - '0' : 0);
        points_add(&sum, '0' + d % 10);
        carry = d / 10;
    }
    if (carry)
        points_add(&sum, '1');
    a->n = 0;
    for (size_t i = sum.n; i > 0; i--)
        points_add(a, sum.v[i - 1]);
    a->failed = a->failed || sum.failed;
    points_release(&sum);
}

void number_scale_tail(struct number *n, int power)
{
    struct points *d = &n->digits, tail = {0};
    size_t cut = d->n > 3 ? d->n - 3 : 0;
    points_append(&tail, d->v + cut, d->n - cut);
    for (int i = 0; i < power; i++)
        points_add(&tail, '0');
    for (size_t i = cut; i < d->n; i++)
        d->v[i] = '0';
    digits_add(d, &tail);
    zeros_trim(d);
    d->failed = d->failed || tail.failed;
    points_release(&tail);
}

/* Digits, or digits with a point among, before or behind them. */
bool number_scale(struct number *n, int power)
{
    struct points *d = &n->digits;
    size_t point = d->n, digits = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (point_is_digit(d->v[i]))
            digits++;
        else if (d->v[i] == '.' && point == d->n)
            point = i;
        else
            return false;
    }
    size_t end = d->n;
    while (end > point + 1 && point_digit(d->v[end - 1]) == 0)
        end--;
    size_t fraction = end > point ? end - point - 1 : 0;
    if (!digits || fraction > (size_t)power)
        return false;
    struct points whole = {0};
    for (size_t i = 0; i < point + 1 + fraction && i < d->n; i++)
        if (i != point)
            points_add(&whole, '0' + (uint32_t)point_digit(d->v[i]));
    for (size_t i = fraction; i < (size_t)power; i++)
        points_add(&whole, '0');
    zeros_trim(&whole);
    points_turn(d, &whole);
    points_release(&whole);
    n->kind = NUMBER_WHOLE;
    return true;
}
