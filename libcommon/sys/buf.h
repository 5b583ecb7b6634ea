/* libcommon/sys/buf.h - bytes that grow up to a maximum they are born with
 *
 * A struct buf owns its memory.  Once an append fails (out of memory or over
 * the maximum) the buffer is marked `failed` and further appends do nothing,
 * so that a writer may check once at the end. */
#ifndef PENSTOCK_BUF_H
#define PENSTOCK_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {                   /* borrowed bytes: never freed through this */
    const uint8_t *data;
    size_t size;
};

struct buf {
    uint8_t *data;
    size_t size, room, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);            /* frees; the struct is as after buf_init */
void buf_clear(struct buf *b);              /* size 0, memory kept, failed reset */
int buf_reserve(struct buf *b, size_t more);        /* 0, or -1 with failed set */
uint8_t *buf_extend(struct buf *b, size_t n);       /* n new bytes (unset), or NULL */
void buf_append(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Memory that lives until the next arena_clear: for values made while a unit is
 * worked on.  Pointers stay valid as it grows. */
struct arena_block;
struct arena { struct arena_block *blocks; };
void *arena_alloc(struct arena *a, size_t n);       /* 16-byte aligned; NULL if out of memory */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_clear(struct arena *a);          /* keeps the largest block */
void arena_release(struct arena *a);

static inline struct span span_of(const void *data, size_t size)
{
    return (struct span){ data, size };
}

#endif
