/* libcommon/sys/buf.c - see buf.h */
#include "libcommon/sys/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max) { *b = (struct buf){ .max = max }; }

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return -1;
    if (more > b->max || b->size > b->max - more) {
        b->failed = true;
        return -1;
    }
    size_t want = b->size + more;
    if (want <= b->room)
        return 0;
    size_t room = b->room ? b->room : 4096;
    while (room < want)
        room = room > b->max / 2 ? b->max : room * 2;
    uint8_t *data = realloc(b->data, room);
    if (!data) {
        b->failed = true;
        return -1;
    }
    b->data = data;
    b->room = room;
    return 0;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (buf_reserve(b, n) < 0)
        return NULL;
    b->size += n;
    return b->data + b->size - n;
}

void buf_append(struct buf *b, const void *data, size_t n)
{
    uint8_t *to = buf_extend(b, n);
    if (to && n)
        memcpy(to, data, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || buf_reserve(b, (size_t)n + 1) < 0)
        return;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
}

struct arena_block {
    struct arena_block *next;
    size_t used, room;
    _Alignas(16) uint8_t data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - 64)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    struct arena_block *top = a->blocks;
    if (!top || top->room - top->used < n) {
        size_t room = top ? top->room * 2 : 1 << 16;
        if (room > (size_t)64 << 20)
            room = (size_t)64 << 20;
        if (room < n)
            room = n;
        top = malloc(sizeof *top + room);
        if (!top)
            return NULL;
        *top = (struct arena_block){ .next = a->blocks, .room = room };
        a->blocks = top;
    }
    void *p = top->data + top->used;
    top->used += n;
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *s = arena_alloc(a, (size_t)n + 1);
    if (!s)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void arena_clear(struct arena *a)
{
    struct arena_block *keep = NULL;
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        if (!keep || a->blocks->room > keep->room) {
            free(keep);
            keep = a->blocks;
        } else {
            free(a->blocks);
        }
        a->blocks = next;
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
}

void arena_release(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}
