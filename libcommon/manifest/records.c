/* libcommon/manifest/records.c - see records.h */
#include "libcommon/manifest/records.h"

#include <string.h>

#include "libcommon/format/csv.h"
#include "libcommon/manifest/index.h"

enum { PIECE = 1 << 20 };

int records_init(struct records *r, struct object *bytes, struct error *e)
{
    *r = (struct records){ .bytes = bytes, .line = 1, .digest = EVP_MD_CTX_new() };
    buf_init(&r->window, MANIFEST_ROW_MAX + 2 * (size_t)PIECE);
    if (!r->digest || EVP_DigestInit_ex(r->digest, EVP_sha256(), NULL) != 1)
        return error_set(e, STATUS_AGAIN, "cannot begin a SHA-256 sum");
    return 0;
}

void records_release(struct records *r)
{
    EVP_MD_CTX_free(r->digest);
    buf_release(&r->window);
}

struct span records_rest(const struct records *r)
{
    return span_of(r->window.data + r->at, r->window.size - r->at);
}

int records_fill(struct records *r, struct error *e)
{
    if (r->at) {
        memmove(r->window.data, r->window.data + r->at, r->window.size - r->at);
        r->window.size -= r->at;
        r->base += r->at;
        r->at = 0;
    }
    uint64_t next = r->base + r->window.size, left = object_info(r->bytes)->size - next;
    size_t n = left < PIECE ? (size_t)left : PIECE;
    if (n == 0)
        return 0;
    uint8_t *to = buf_extend(&r->window, n);
    if (!to)
        return error_memory(e);
    return object_read(r->bytes, next, n, to, e) < 0 ? -1 : 1;
}

void records_skip(struct records *r, size_t n)
{
    EVP_DigestUpdate(r->digest, r->window.data + r->at, n);
    r->at += n;
}

/* The record is in these bytes, `end` of them if that is known. */
static int record_take(struct records *r, const struct csv_scan *scan, struct span bytes, size_t end)
{
    if (csv_scan_quoted(scan))
        r->lines = 1;
    r->record = span_of(bytes.data, csv_record_size(scan, bytes, end));
    return r->record.size > 0;
}

int records_next(struct records *r, struct error *e)
{
    struct csv_scan scan = { .separator = r->separator };
    size_t scanned = 0, n = 0;
    r->lines = 0;
    r->cut = false;
    for (;;) {
        const uint8_t *start = r->window.data + r->at;
        struct span fresh = span_of(start + scanned, r->window.size - r->at - scanned);
        if (scan.separator) {
            n = csv_scan(&scan, fresh, &r->lines);
        } else {
            const uint8_t *newline = fresh.size ? memchr(fresh.data, '\n', fresh.size) : NULL;
            n = newline ? (size_t)(newline + 1 - fresh.data) : 0;
            r->lines += n > 0;
        }
        if (n)
            return record_take(r, &scan, span_of(start, scanned + n), scanned + n);
        scanned += fresh.size;
        int more = 0;
        if (scanned <= MANIFEST_ROW_MAX && (more = records_fill(r, e)) < 0)
            return -1;
        if (!more) {
            r->cut = scanned > MANIFEST_ROW_MAX && !csv_scan_quoted(&scan);
            r->lines = 1;
            return record_take(r, &scan, span_of(r->window.data + r->at, scanned), 0);
        }
    }
}

int records_pass(struct records *r, struct error *e)
{
    bool inside = r->cut;               /* of a line */
    records_skip(r, r->record.size);
    r->line += r->lines;
    for (int more = 1; inside && more > 0;) {
        struct span rest = records_rest(r);
        const uint8_t *newline = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
        records_skip(r, newline ? (size_t)(newline + 1 - rest.data) : rest.size);
        inside = !newline;
        if (inside && (more = records_fill(r, e)) < 0)
            return -1;
    }
    return 0;
}
