/* kernels/models/cache.c - keys and values of what was seen and heard, row by row */
#include "kernels/models/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* Cuts the next piece off a block of memory. */
static void *piece(uint8_t **at, size_t bytes)
{
    void *p = *at;
    *at += padded(bytes);
    return p;
}

int cache_reserve(struct cache *c, const struct model *m, size_t rows, size_t heard, size_t room, char why[WHY])
{
    *c = (struct cache){ .rows = rows, .room = room, .layers = m->layers, .source = m->source, .heard = heard,
                         .width = m->kv_width };
    size_t own = padded(rows * room * c->width * sizeof(float)),
           cross = padded(heard * c->source * c->width * sizeof(float));
    size_t lists = padded(m->layers * sizeof(float *)), lengths = padded(2 * rows * sizeof(size_t));
    size_t bytes = 4 * lists + lengths + 2 * m->layers * (own + cross);
    uint8_t *at = c->memory = aligned_alloc(64, bytes);
    if (!at) {
        snprintf(why, WHY, "out of memory: keys and values want %zu MiB", bytes >> 20);
        return -1;
    }
    c->k = piece(&at, lists);
    c->v = piece(&at, lists);
    c->cross_k = piece(&at, lists);
    c->cross_v = piece(&at, lists);
    c->length = piece(&at, lengths);
    for (size_t i = 0; i < m->layers; i++) {
        c->k[i] = piece(&at, own);
        c->v[i] = piece(&at, own);
        c->cross_k[i] = piece(&at, cross);
        c->cross_v[i] = piece(&at, cross);
    }
    cache_clear(c);
    return 0;
}

void cache_release(struct cache *c)
{
    free(c->memory);
    *c = (struct cache){ 0 };
}

void cache_clear(struct cache *c)
{
    if (c->rows)                /* before the first cache_reserve there is nothing */
        memset(c->length, 0, c->rows * sizeof *c->length);
    c->encoded = false;
}

static void put_rows(float *to, const struct tensor *from, const struct cache *c, const struct batch *b)
{
    for (size_t r = 0; r < b->rows; r++) {
        size_t n = b->start[r + 1] - b->start[r];
        memcpy(to + (r * c->room + c->length[r]) * c->width, from->data + b->start[r] * c->width, n * c->width * sizeof *to);
    }
}

void cache_append(struct tape *t, struct cache *c, size_t i, const struct batch *b, struct tensor **k, struct tensor **v)
{
    for (size_t r = 0; r < b->rows; r++)
        if (c->length[r] + b->start[r + 1] - b->start[r] > c->room)
            tape_fail(t, "row %zu has no room for more positions than %zu", r, c->room);
    if (!t->dry && !t->failed) {
        put_rows(c->k[i], *k, c, b);
        put_rows(c->v[i], *v, c, b);
    }
    *k = tape_input(t, c->k[i], c->rows * c->room, c->width);
    *v = tape_input(t, c->v[i], c->rows * c->room, c->width);
}

/* --- beams --------------------------------------------------------------------------- */
static void row_copy(struct cache *c, float *list, size_t to, size_t from, size_t length)
{
    memmove(list + to * c->room * c->width, list + from * c->room * c->width, length * c->width * sizeof *list);
}

void cache_expand(struct cache *c, size_t times)
{
    for (size_t r = c->rows * times; r-- > 0;) {        /* from the last: a row moves to where nothing is needed any more */
        size_t from = r / times;
        for (size_t i = 0; i < c->layers && from != r; i++) {
            row_copy(c, c->k[i], r, from, c->length[from]);
            row_copy(c, c->v[i], r, from, c->length[from]);
        }
        c->length[r] = c->length[from];
    }
    c->rows *= times;
}

/* Copies of all rows that move are taken first: beams are few, and rows short. */
int cache_reorder(struct cache *c, const size_t *from)
{
    size_t row = c->room * c->width, *length = malloc(c->rows * sizeof *length);
    float *copy = malloc(c->rows * row * sizeof *copy);
    for (size_t i = 0; copy && length && i < 2 * c->layers; i++) {
        float *list = i < c->layers ? c->k[i] : c->v[i - c->layers];
        for (size_t r = 0; r < c->rows; r++)
            if (from[r] != r)
                memcpy(copy + r * row, list + from[r] * row, c->length[from[r]] * c->width * sizeof *copy);
        for (size_t r = 0; r < c->rows; r++)
            if (from[r] != r)
                memcpy(list + r * row, copy + r * row, c->length[from[r]] * c->width * sizeof *copy);
    }
    bool done = copy && length;
    for (size_t r = 0; done && r < c->rows; r++)
        length[r] = c->length[from[r]];
    if (done)
        memcpy(c->length, length, c->rows * sizeof *length);
    free(copy);
    free(length);
    return done ? 0 : -1;
}
