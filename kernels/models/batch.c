/* kernels/models/batch.c - rows of a batch, and what forwards make of them; caches are in cache.c */
#include "kernels/models/arch.h"

#include <math.h>
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

int batch_reserve(struct batch *b, size_t rows, size_t tokens, size_t bins, size_t frames, char why[WHY])
{
    *b = (struct batch){ .bins = bins, .frames = frames, .room_rows = rows, .room_tokens = tokens };
    size_t features = rows * bins * frames * sizeof(float);
    size_t bytes = padded((rows + 1) * sizeof(size_t)) + 2 * padded(tokens * sizeof(int32_t)) + padded(features) +
                   padded(rows * sizeof(size_t)) + padded(rows * sizeof(uint64_t));
    uint8_t *at = b->memory = aligned_alloc(64, padded(bytes));
    if (!at) {
        snprintf(why, WHY, "out of memory: a batch of %zu rows wants %zu MiB", rows, bytes >> 20);
        return -1;
    }
    b->start = piece(&at, (rows + 1) * sizeof(size_t));
    b->ids = piece(&at, tokens * sizeof(int32_t));
    b->labels = piece(&at, tokens * sizeof(int32_t));
    b->features = features ? piece(&at, features) : NULL;
    b->heard = piece(&at, rows * sizeof(size_t));
    b->key = piece(&at, rows * sizeof(uint64_t));
    batch_clear(b);
    return 0;
}

void batch_release(struct batch *b)
{
    free(b->memory);
    *b = (struct batch){ 0 };
}

void batch_clear(struct batch *b)
{
    b->rows = 0;
    b->start[0] = 0;
}

int batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, size_t n,
              const float *features, size_t bins, size_t heard, float padding, uint64_t key, char why[WHY])
{
    size_t at = b->start[b->rows];
    if (b->rows == b->room_rows || n > b->room_tokens - at) {
        snprintf(why, WHY, "no room for a row of %zu tokens in the batch", n);
        return -1;
    }
    if (b->features && (!features || bins != b->bins || heard > b->frames)) {
        snprintf(why, WHY, "features of %zu bins and %zu frames, the model takes %zu and at most %zu", features ? bins : 0,
                 features ? heard : 0, b->bins, b->frames);
        return -1;
    }
    if (n) {
        memcpy(b->ids + at, ids, n * sizeof *ids);
        for (size_t i = 0; i < n; i++)
            b->labels[at + i] = labels ? labels[i] : -100;
    }
    for (size_t f = 0; b->features && f < bins; f++) {
        float *to = b->features + (b->rows * bins + f) * b->frames;
        if (heard)
            memcpy(to, features + f * heard, heard * sizeof *to);
        for (size_t i = heard; i < b->frames; i++)
            to[i] = padding;
    }
    b->heard[b->rows] = heard;
    b->key[b->rows] = key;
    b->start[++b->rows] = at + n;
    return 0;
}

int features_finite(const float *x, size_t bins, size_t frames, float padding, char why[WHY])
{
    const uint32_t exponent = 0x7f800000;       /* all ones: infinite, or no number */
    size_t n = bins * frames, i = 0;
    uint32_t any = 0, bits;
    for (size_t k = 0; k < n; k++) {
        memcpy(&bits, x + k, sizeof bits);
        any |= (bits & exponent) == exponent;
    }
    if (!any && isfinite(padding))
        return 0;
    while (any && isfinite(x[i]))
        i++;
    if (any)
        snprintf(why, WHY, "'input_features': band %zu of frame %zu is %f", i / frames, i % frames, (double)x[i]);
    else
        snprintf(why, WHY, "'padding_value' is %f", (double)padding);
    return -1;
}

/* --- for forwards ------------------------------------------------------------------------ */
const struct attended *batch_segments(struct tape *t, const struct batch *b, const struct cache *c)
{
    struct attended *s = tape_small(t, b->rows * sizeof *s);
    for (size_t r = 0; s && r < b->rows; r++) {
        size_t n = b->start[r + 1] - b->start[r];
        s[r] = (struct attended){ b->start[r], n, c ? r * c->room : b->start[r], c ? c->length[r] + n : n };
    }
    return s;
}

const int32_t *batch_positions(struct tape *t, const struct batch *b, const struct cache *c)
{
    int32_t *p = tape_small(t, (b->start[b->rows] + 1) * sizeof *p);
    for (size_t r = 0; p && r < b->rows; r++)
        for (size_t i = b->start[r]; i < b->start[r + 1]; i++)
            p[i] = (int32_t)(i - b->start[r] + (c ? c->length[r] : 0));
    return p;
}
