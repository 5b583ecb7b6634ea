/* kernels/nn/layout.c - see layout.h */
#include "kernels/nn/layout.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int layout_add(struct layout *l, size_t size, size_t from)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        struct spot *more = realloc(l->spot, room * sizeof *more);
        if (!more)
            return -1;
        l->spot = more;
        l->room = room;
    }
    l->spot[l->n++] = (struct spot){ .size = size, .from = from, .to = SIZE_MAX };
    return 0;
}

/* Steps mostly repeat: the places of the last time are those that would be found. */
static bool placed_before(struct layout *l)
{
    if (l->n != l->n_placed)
        return false;
    for (size_t i = 0; i < l->n; i++) {
        const struct spot *a = l->spot + i, *b = l->placed + i;
        if (a->size != b->size || a->from != b->from || a->to != b->to)
            return false;
    }
    memcpy(l->spot, l->placed, l->n * sizeof *l->spot);
    return true;
}

static int rooms_make(struct layout *l)
{
    l->n_placed = 0;
    if (l->room <= l->room_placed)
        return 0;
    free(l->placed);
    free(l->by_place);
    l->room_placed = 0;
    l->placed = malloc(l->room * sizeof *l->placed);
    l->by_place = malloc(l->room * sizeof *l->by_place);
    if (!l->placed || !l->by_place)
        return -1;
    l->room_placed = l->room;
    return 0;
}

/* Large before small, of equals as they are taken; at is the index here. */
static int by_size(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The narrowest gap that is wide enough while s lives, the lower of equals, else above all; k are placed. */
static size_t gap_find(const struct layout *l, size_t k, const struct spot *s)
{
    size_t end = 0, best = SIZE_MAX, at = 0;
    for (size_t i = 0; i < k; i++) {
        const struct spot *p = l->spot + l->by_place[i];
        if (p->from >= s->to || s->from >= p->to)
            continue;
        if (p->at > end && p->at - end >= s->size && p->at - end < best) {
            best = p->at - end;
            at = end;
        }
        end = p->at + p->size > end ? p->at + p->size : end;
    }
    return best == SIZE_MAX ? end : at;
}

int layout_place(struct layout *l)
{
    if (l->n && placed_before(l))
        return 0;
    l->size = 0;
    if (rooms_make(l))
        return -1;
    if (!l->n)
        return 0;
    for (size_t i = 0; i < l->n; i++) {
        l->placed[i] = l->spot[i];
        l->placed[i].at = i;
    }
    qsort(l->placed, l->n, sizeof *l->placed, by_size);
    for (size_t k = 0; k < l->n; k++) {
        size_t index = l->placed[k].at, low = 0, high = k;
        struct spot *s = l->spot + index;
        s->at = gap_find(l, k, s);
        while (low < high) {                    /* behind those that do not begin above it */
            size_t mid = (low + high) / 2;
            if (l->spot[l->by_place[mid]].at <= s->at)
                low = mid + 1;
            else
                high = mid;
        }
        memmove(l->by_place + low + 1, l->by_place + low, (k - low) * sizeof *l->by_place);
        l->by_place[low] = index;
        l->size = s->at + s->size > l->size ? s->at + s->size : l->size;
    }
    memcpy(l->placed, l->spot, l->n * sizeof *l->spot);
    l->n_placed = l->n;
    return 0;
}

void layout_free(struct layout *l)
{
    free(l->spot);
    free(l->placed);
    free(l->by_place);
    *l = (struct layout){ 0 };
}
