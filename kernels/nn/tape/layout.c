/* kernels/nn/tape/layout.c - see layout.h */
#include "kernels/nn/tape/layout.h"

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

void layout_cut(struct layout *l, size_t event)
{
    if (l->n_cuts < LAYOUT_CUTS)
        l->cut[l->n_cuts++] = event;
}

void layout_clear(struct layout *l) { l->n = l->n_cuts = 0; }

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

/* Those placed so far, by place. */
struct list { size_t *index, n; };

/* The narrowest gap that is wide enough while s lives, the lower of equals, else above all; all that lives then is in
 * the list. */
static size_t gap_find(const struct layout *l, const struct list *list, const struct spot *s)
{
    size_t end = 0, best = SIZE_MAX, at = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct spot *p = l->spot + list->index[i];
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

/* Behind those that do not begin above it. */
static void list_add(const struct layout *l, struct list *list, size_t index)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->spot[list->index[mid]].at <= l->spot[index].at)
            low = mid + 1;
        else
            high = mid;
    }
    memmove(list->index + low + 1, list->index + low, (list->n - low) * sizeof *list->index);
    list->index[low] = index;
    list->n++;
}

/* The cuts at or before an event: the number of its window. */
static size_t window_of(const struct layout *l, size_t event)
{
    size_t w = 0;
    while (w < l->n_cuts && l->cut[w] <= event)
        w++;
    return w;
}

static void windows_of(const struct layout *l, const struct spot *s, size_t *first, size_t *last)
{
    *first = window_of(l, s->from);
    *last = s->to > s->from ? window_of(l, s->to - 1) : *first;
}

/* Lists of what lives in each window, with room for all of it, in one block that is to be freed.  NULL: out of memory. */
static size_t *lists_make(const struct layout *l, struct list lists[LAYOUT_CUTS + 1])
{
    size_t first, last, all = 0;
    for (size_t w = 0; w <= l->n_cuts; w++)
        lists[w].n = 0;
    for (size_t i = 0; i < l->n; i++)
        for (windows_of(l, l->spot + i, &first, &last); first <= last; first++, all++)
            lists[first].n++;
    size_t *block = malloc((all + 1) * sizeof *block);
    for (size_t w = 0, at = 0; block && w <= l->n_cuts; w++) {
        lists[w].index = block + at;
        at += lists[w].n;
        lists[w].n = 0;
    }
    return block;
}

int layout_place(struct layout *l)
{
    struct list all, lists[LAYOUT_CUTS + 1];
    size_t first, last;
    if (l->n && placed_before(l))
        return 0;
    l->size = 0;
    if (rooms_make(l))
        return -1;
    if (!l->n)
        return 0;
    size_t *block = lists_make(l, lists);
    if (!block)
        return -1;
    all = (struct list){ l->by_place, 0 };
    for (size_t i = 0; i < l->n; i++) {
        l->placed[i] = l->spot[i];
        l->placed[i].at = i;
    }
    qsort(l->placed, l->n, sizeof *l->placed, by_size);
    for (size_t k = 0; k < l->n; k++) {
        size_t index = l->placed[k].at;
        struct spot *s = l->spot + index;
        windows_of(l, s, &first, &last);
        s->at = gap_find(l, first == last ? lists + first : &all, s);
        list_add(l, &all, index);
        for (; first <= last; first++)
            list_add(l, lists + first, index);
        l->size = s->at + s->size > l->size ? s->at + s->size : l->size;
    }
    free(block);
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
