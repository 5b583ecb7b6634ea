/* kernels/text/grow.c - see grow.h */
#include "kernels/text/grow.h"

#include <stdlib.h>
#include <string.h>

int grow(void *array, size_t *room, size_t n, size_t more, size_t size)
{
    void *p;
    size_t want;

    if (more <= *room - n)
        return 0;
    if (more > SIZE_MAX / 2 / size - n)
        return -1;
    want = n + more + *room / 2;
    if (want < 16)
        want = 16;
    if (want > SIZE_MAX / size)
        return -1;
    memcpy(&p, array, sizeof p);        /* whatever it points to */
    p = realloc(p, want * size);
    if (!p)
        return -1;
    memcpy(array, &p, sizeof p);
    *room = want;
    return 0;
}

int text_reserve(struct text *t, size_t more)
{
    return grow(&t->s, &t->room, t->n, more, 1);
}

int text_add(struct text *t, const char *s, size_t n)
{
    if (text_reserve(t, n))
        return -1;
    if (n)
        memcpy(t->s + t->n, s, n);
    t->n += n;
    return 0;
}

int text_puts(struct text *t, const char *s)
{
    return text_add(t, s, strlen(s));
}

void text_release(struct text *t)
{
    free(t->s);
    *t = (struct text){ 0 };
}

int tokens_reserve(struct tokens *l, size_t more)
{
    return grow(&l->id, &l->room, l->n, more, sizeof *l->id);
}

int tokens_add(struct tokens *l, int32_t id)
{
    if (tokens_reserve(l, 1))
        return -1;
    l->id[l->n++] = id;
    return 0;
}

void tokens_release(struct tokens *l)
{
    free(l->id);
    *l = (struct tokens){ 0 };
}
