/* libcommon/cli/opt_help.c - see opt_help.h */
#include "libcommon/cli/opt_help.h"
#include "libcommon/sys/buf.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 80, LINES = 24, TEXT_AT = 32 };

const char *opt_arg(const struct opt *o)
{
    if (o->arg)
        return o->arg;
    switch (o->kind) {
    case OPT_INT: return "N";
    case OPT_REAL: return "X";
    case OPT_SIZE: return "BYTES";
    case OPT_STRING: return "TEXT";
    default: return "";
    }
}

static void choices_put(struct buf *b, const struct opt *o)
{
    for (const char *const *c = o->choices; *c; c++)
        buf_printf(b, "%s%s", c == o->choices ? "" : "|", *c);
}

void opt_range(const struct opt *o, char *text, size_t room)
{
    const char *what = o->kind == OPT_INT ? "a whole number" : o->kind == OPT_SIZE ? "a size (as 512, 64K or 8M)" :
                       "a number";
    if (o->kind == OPT_CHOICE) {
        size_t n = (size_t)snprintf(text, room, "one of ");
        for (const char *const *c = o->choices; *c && n < room; c++)
            n += (size_t)snprintf(text + n, room - n, "%s%s", c == o->choices ? "" : "|", *c);
    } else if (o->min < o->max) {
        snprintf(text, room, "%s from %.15g to %.15g", what, o->min, o->max);
    } else {
        snprintf(text, room, "%s", what);
    }
}

/* " [8]", or nothing for flags and what has no default. */
static void default_put(struct buf *b, const struct opt *o)
{
    switch (o->kind) {
    case OPT_STRING:
    case OPT_CHOICE:
        if (*(const char **)o->value)
            buf_printf(b, " [%s]", *(const char **)o->value);
        break;
    case OPT_INT:
        buf_printf(b, " [%lld]", (long long)*(int64_t *)o->value);
        break;
    case OPT_REAL:
        buf_printf(b, " [%.6g]", *(double *)o->value);
        break;
    case OPT_SIZE: {
        uint64_t v = *(uint64_t *)o->value;
        int k = 0;
        while (v && v % 1024 == 0 && k < 4) {
            v /= 1024;
            k++;
        }
        buf_printf(b, " [%llu%.*s]", (unsigned long long)v, k ? 1 : 0, &" KMGT"[k]);
        break;
    }
    default:
        break;
    }
}

/* "-i, --in FROM" with the choices or, if it is to be named, the value. */
static void name_put(struct buf *b, const struct opt *o, bool named)
{
    if (o->letter)
        buf_printf(b, "-%c, ", o->letter);
    buf_printf(b, "--%s", o->name);
    if (o->kind == OPT_CHOICE && !o->arg) {
        buf_printf(b, " ");
        choices_put(b, o);
    } else if (named && o->kind != OPT_FLAG) {
        buf_printf(b, " %s", opt_arg(o));
    }
}

/* Words after what stands on the line, wrapped at COLUMNS, continued at `at`. */
static void words_put(struct buf *b, const char *text, size_t at, size_t *column)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (*column + n + 1 > COLUMNS - 1 && *column > at) {
            buf_printf(b, "\n%*s", (int)at, "");
            *column = at;
        } else if (*column > at) {
            buf_printf(b, " ");
            ++*column;
        }
        buf_append(b, text, n);
        *column += n;
        text += n;
        text += strspn(text, " ");
    }
}

static size_t column_of(const struct buf *b)
{
    size_t n = 0;
    while (n < b->size && b->data[b->size - 1 - n] != '\n')
        n++;
    return n;
}

static void full_put(struct buf *b, const struct opt *o)
{
    for (; o->name; o++) {
        if (o->kind == OPT_GROUP) {
            buf_printf(b, "%s:\n", o->name);
            continue;
        }
        buf_printf(b, o->letter ? "  " : "      ");
        name_put(b, o, true);
        struct buf text;
        buf_init(&text, 4096);
        buf_printf(&text, "%s", o->help ? o->help : "");
        default_put(&text, o);
        buf_append(&text, "", 1);
        size_t column = column_of(b);
        if (column + 2 <= TEXT_AT)
            buf_printf(b, "%*s", (int)(TEXT_AT - column), "");
        else if (column + 2 + text.size > COLUMNS)
            buf_printf(b, "\n%*s", TEXT_AT, "");
        else
            buf_printf(b, "  ");
        column = column_of(b);
        if (text.data)
            words_put(b, (const char *)text.data, column, &column);
        buf_printf(b, "\n");
        buf_release(&text);
    }
}

/* One item, with what belongs to it kept on one line where a line can hold it. */
static void flow(struct buf *b, const struct buf *item, size_t indent)
{
    size_t column = column_of(b);
    if (column > indent && column + 2 + item->size > COLUMNS - 1)
        buf_printf(b, "\n%*s", (int)indent, "");
    else if (column > indent)
        buf_printf(b, "  ");
    buf_append(b, item->data, item->size);
}

/* tight: groups follow each other without new lines. */
static void compact_put(struct buf *b, const struct opt *o, const char *heading, bool tight)
{
    if (heading && o->name && o->kind != OPT_GROUP)
        buf_printf(b, "%s:", heading);
    struct buf item;
    buf_init(&item, 4096);
    for (const struct opt *first = o; o->name; o++) {
        if (o->kind == OPT_GROUP) {
            if (tight && o != first) {
                buf_clear(&item);
                buf_printf(&item, "%s:", o->name);
                flow(b, &item, 2);
            } else {
                buf_printf(b, "%s%s:", o == first ? "" : "\n", o->name);
            }
            continue;
        }
        buf_clear(&item);
        bool numeric = o->kind == OPT_INT || o->kind == OPT_REAL || o->kind == OPT_SIZE;
        name_put(&item, o, !numeric);       /* the default of a number shows what it takes */
        default_put(&item, o);
        flow(b, &item, 2);
    }
    buf_printf(b, "\n");
    buf_release(&item);
}

static void head_put(struct buf *b, const struct program *p, int ends)
{
    buf_printf(b, "usage: %s [options]%s%s%s%s\n", p->name, p->operands ? " " : "", p->operands ? p->operands : "",
               ends & OPT_NO_IN ? "" : ends & OPT_TEXT_IN ? " < TEXT" : " < STREAM",
               ends & OPT_NO_OUT ? "" : ends & OPT_TEXT_OUT ? " > TEXT" : " > STREAM");
    size_t column = 0;
    words_put(b, p->summary, 0, &column);
    buf_printf(b, "\n");
}

static size_t lines_of(const struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->size; i++)
        n += b->data[i] == '\n';
    return n;
}

void opt_help(const struct program *p, const struct opt *common, int ends)
{
    static const struct opt none = { .name = NULL };
    static const char exits[] = "exit: 0 done, 1 too many failed records, 100 do not retry, 111 try again";
    const struct opt *own = p->opts ? p->opts : &none;
    struct buf b;
    buf_init(&b, 1 << 20);
    head_put(&b, p, ends);
    full_put(&b, own);
    compact_put(&b, common, "common", false);
    buf_printf(&b, "%s\n", exits);
    for (int tight = 0; tight < 2 && lines_of(&b) > LINES; tight++) {
        buf_clear(&b);
        head_put(&b, p, ends);
        compact_put(&b, own, "options", tight);
        compact_put(&b, common, "common", false);
        buf_printf(&b, "%s\n'man %s' explains each option\n", exits, p->name);
    }
    if (b.data)
        fwrite(b.data, 1, b.size, stdout);
    buf_release(&b);
}
