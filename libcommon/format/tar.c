/* libcommon/format/tar.c - see tar.h */
#include "libcommon/format/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 };

/* Octal with spaces or NULs around it, or GNU's big-endian number with the first bit set. */
static bool number_read(const uint8_t *field, size_t n, uint64_t *v)
{
    uint64_t x = 0;
    size_t i = 0;
    if (field[0] & 0x80) {
        for (x = field[0] & 0x3f, i = 1; i < n; i++) {
            if (x >> 56)
                return false;
            x = x << 8 | field[i];
        }
        *v = x;
        return true;
    }
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
        x = x << 3 | (uint64_t)(field[i] - '0');
    *v = x;
    return i == n || field[i] == ' ' || field[i] == 0;
}

static bool sum_right(const uint8_t *block)
{
    uint64_t told, sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : block[i];
    return number_read(block + 148, 8, &told) && told == sum;
}

/* "path" of the records "LENGTH key=value\n" of a pax header. */
static void pax_path(const char *text, size_t n, char name[TAR_NAME])
{
    while (n) {
        char *end;
        size_t length = strtoul(text, &end, 10);
        if (end == text || *end != ' ' || length > n || length < (size_t)(end - text) + 2)
            return;
        const char *key = end + 1;
        size_t rest = length - (size_t)(key - text) - 1;
        if (rest > 5 && !strncmp(key, "path=", 5) && rest - 5 < TAR_NAME) {
            memcpy(name, key + 5, rest - 5);
            name[rest - 5] = 0;
        }
        text += length;
        n -= length;
    }
}

static int damaged(const struct tar *t, const char *what, struct error *e)
{
    return error_set(e, STATUS_BAD, "%s at byte %llu", what, (unsigned long long)t->at);
}

/* A long name in the data of a special member. */
static int name_read(struct tar *t, const struct tar_member *m, char type, char name[TAR_NAME], struct error *e)
{
    char text[8 * TAR_NAME];
    if (m->size >= sizeof text)
        return type == 'x' ? 0 : damaged(t, "a name that is too long", e);
    if (t->read(t->ctx, m->offset, (size_t)m->size, text, e) < 0)
        return -1;
    text[m->size] = 0;
    if (type == 'x')
        pax_path(text, (size_t)m->size, name);
    else
        snprintf(name, TAR_NAME, "%.*s", TAR_NAME - 1, text);
    return 0;
}

int tar_next(struct tar *t, struct tar_member *m, struct error *e)
{
    char name[TAR_NAME] = "";
    for (;;) {
        uint8_t block[BLOCK];
        if (t->at == t->size)
            return 0;           /* without the two empty blocks: some writers forget them */
        if (t->size - t->at < BLOCK)
            return damaged(t, "truncated", e);
        if (t->read(t->ctx, t->at, BLOCK, block, e) < 0)
            return -1;
        if (block[0] == 0)
            return 0;
        if (!sum_right(block) || !number_read(block + 124, 12, &m->size))
            return damaged(t, "no tar header", e);
        m->offset = t->at + BLOCK;
        if (m->size > t->size - m->offset)
            return damaged(t, "truncated", e);
        uint64_t blocks = (m->size + BLOCK - 1) / BLOCK * BLOCK, left = t->size - m->offset;
        char type = (char)block[156];
        if ((type == 'L' || type == 'x') && name_read(t, m, type, name, e) < 0)
            return -1;
        t->at = m->offset + (blocks < left ? blocks : left);
        if (type == 'L' || type == 'x' || type == 'g')
            continue;
        if (!*name) {
            bool ustar = !memcmp(block + 257, "ustar", 5) && block[345];
            snprintf(name, sizeof name, "%.*s%s%.*s", ustar ? 155 : 0, (char *)block + 345, ustar ? "/" : "", 100,
                     (char *)block);
        }
        snprintf(m->name, sizeof m->name, "%s", name);
        if (type == '0' || type == 0 || type == '7')
            return 1;
        *name = 0;
    }
}
