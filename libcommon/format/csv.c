/* libcommon/format/csv.c - see csv.h */
#include "libcommon/format/csv.h"

#include <string.h>

enum { RECORD_MAX = 256 << 20 };
/* QUOTE: after a quote inside QUOTED; QUOTED_TAB: TSV, after a tab in it */
enum { FIELD_START, PLAIN, QUOTED, QUOTE, QUOTED_TAB };

size_t csv_scan(struct csv_scan *s, struct span bytes, uint64_t *lines)
{
    char state = s->state, separator = s->separator;
    for (size_t i = 0; i < bytes.size; i++) {
        char c = (char)bytes.data[i];
        if (c == '\n') {
            ++*lines;
            if (state != QUOTED) {
                s->state = state == QUOTED_TAB ? QUOTED_TAB : FIELD_START;
                return i + 1;
            }
        } else if (state == QUOTED || state == QUOTED_TAB) {
            if (c == '"')
                state = QUOTE;
            else if (c == '\t' && separator == '\t')
                state = QUOTED_TAB;
        } else if (state == QUOTE && c == '"') {
            state = QUOTED;
        } else if (c == separator) {
            state = FIELD_START;
        } else {
            state = state == FIELD_START && c == '"' ? QUOTED : PLAIN;
        }
    }
    s->state = state;
    return 0;
}

bool csv_scan_quoted(const struct csv_scan *s)
{
    return s->state == QUOTED || s->state == QUOTED_TAB;
}

size_t csv_record_size(const struct csv_scan *s, struct span bytes, size_t end)
{
    const uint8_t *newline = csv_scan_quoted(s) ? memchr(bytes.data, '\n', bytes.size) : NULL;
    return newline ? (size_t)(newline + 1 - bytes.data) : end ? end : bytes.size;
}

void csv_record_init(struct csv_record *r)
{
    buf_init(&r->text, RECORD_MAX);
    r->n = 0;
}

void csv_record_release(struct csv_record *r)
{
    buf_release(&r->text);
}

/* The text of a quoted field, unquoted; *p is moved behind its closing quote. */
static int quoted_read(struct buf *text, const uint8_t **p, const uint8_t *end)
{
    const uint8_t *at = *p + 1;
    for (;;) {
        const uint8_t *quote = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL;
        if (!quote)
            return -1;
        buf_append(text, at, (size_t)(quote - at));
        at = quote + 1;
        if (at == end || *at != '"')
            break;
        buf_append(text, at++, 1);
    }
    *p = at;
    return 0;
}

static bool has(const uint8_t *from, const uint8_t *end, char c) { return memchr(from, c, (size_t)(end - from)); }

int csv_record_read(struct csv_record *r, struct span bytes, char separator, struct error *e)
{
    const uint8_t *p = bytes.data, *end = p + bytes.size;
    buf_clear(&r->text);
    r->n = 0;
    /* Fields are never longer than the record, so the spans stay valid. */
    if (buf_reserve(&r->text, bytes.size + 1) < 0)
        return error_set(e, STATUS_BAD, "a record of %zu bytes is too long", bytes.size);
    if (end > p && end[-1] == '\n')
        end--;
    if (end > p && end[-1] == '\r')
        end--;
    for (;;) {
        if (r->n == CSV_FIELDS)
            return error_set(e, STATUS_BAD, "more than %d fields", CSV_FIELDS);
        size_t start = r->text.size;
        bool quoted = p < end && *p == '"';
        if (quoted) {
            const uint8_t *from = p;
            int open = quoted_read(&r->text, &p, end);
            bool closes = !open && (p == end || *p == (uint8_t)separator), loose = !closes && separator == '\t';
            if (!closes && !loose)
                return error_set(e, STATUS_BAD, open ? "the quote that opens field %zu never closes"
                                 : "text after the quote that closes field %zu (a quote in a field is written twice)",
                                     r->n + 1);
            if (separator == '\t' && has(from, loose ? end : p, '\n') && (loose || has(from, p, '\t')))
                return error_set(e, STATUS_BAD, "the quote that opens field %zu does not close before the line ends",
                                 r->n + 1);
            if (loose) {
                p = from;
                r->text.size = start;
                quoted = false;
            }
        }
        if (!quoted) {
            const uint8_t *stop = p < end ? memchr(p, separator, (size_t)(end - p)) : NULL;
            buf_append(&r->text, p, (size_t)((stop ? stop : end) - p));
            p = stop ? stop : end;
        }
        r->quoted[r->n] = quoted;
        r->field[r->n++] = span_of(r->text.data + start, r->text.size - start);
        if (p == end)
            return 0;
        p++;                    /* the separator */
    }
}
