/* kernels/text/grow.h - texts and lists of token ids that grow
 *
 * Both start as { 0 } and own their memory.  Functions that add return 0, or -1
 * when out of memory, and then have changed nothing. */
#ifndef PENSTOCK_GROW_H
#define PENSTOCK_GROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {                    /* borrowed bytes */
    const char *s;
    size_t n;
};

struct text {
    char *s;                    /* n bytes, no NUL behind them */
    size_t n, room;
};

struct tokens {
    int32_t *id;
    size_t n, room;
};

int text_reserve(struct text *t, size_t more);
int text_add(struct text *t, const char *s, size_t n);
int text_puts(struct text *t, const char *s);
void text_release(struct text *t);      /* leaves { 0 } */

int tokens_reserve(struct tokens *l, size_t more);
int tokens_add(struct tokens *l, int32_t id);
void tokens_release(struct tokens *l);

/* For other lists: makes *array, of items of `size` bytes, hold n + more of them.  -1: out of memory. */
int grow(void *array, size_t *room, size_t n, size_t more, size_t size);

static inline struct str str_of(const char *s, size_t n)
{
    return (struct str){ s, n };
}

static inline bool str_is(struct str s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.s, text, s.n);
}

#endif
