/* libcommon/manifest/manifest.c - rows of an indexed manifest; see manifest.h.  The index is made in index.c */
#include "libcommon/manifest/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/manifest/index.h"
#include "libcommon/sys/text.h"

int manifest_id(const json_t *row, const char *column, char number[24], const char **id, size_t *n)
{
    json_t *v = json_object_get(row, column ? column : "id");
    if (json_is_integer(v)) {
        *n = (size_t)snprintf(number, 24, "%lld", (long long)json_integer_value(v));
        *id = number;
        return 1;
    }
    *id = json_string_value(v);
    *n = json_string_length(v);
    if (!v || json_is_null(v) || (*id && *n == 0))
        return 0;
    return *id ? 1 : -1;
}

static int too_long(struct error *e)
{
    return error_set(e, STATUS_BAD, "a row of more than %d MiB", MANIFEST_ROW_MAX >> 20);
}

/* cut: the row may go on behind the text. */
static json_t *jsonl_row(struct span text, bool cut, struct error *e)
{
    json_error_t why;
    const uint8_t *newline = memchr(text.data, '\n', text.size);
    if (newline) {
        text.size = (size_t)(newline - text.data);
    } else if (cut) {
        too_long(e);
        return NULL;
    }
    json_t *row = json_load_row(text, &why);
    if (!row) {
        error_set(e, STATUS_BAD, "not JSON at character %d: %s", why.column, why.text);
    } else if (!json_is_object(row)) {
        json_decref(row);
        row = NULL;
        error_set(e, STATUS_BAD, "no JSON object");
    }
    return row;
}

static json_t *csv_row(const struct manifest *m, struct span text, bool cut, struct error *e)
{
    struct csv_record *r = malloc(sizeof *r);
    json_t *row = json_object();
    if (!r || !row) {
        free(r);
        json_decref(row);
        error_memory(e);
        return NULL;
    }
    csv_record_init(r);
    struct csv_scan scan = { .separator = manifest_separator(m->format) };
    uint64_t lines = 0;
    size_t end = csv_scan(&scan, text, &lines);
    text.size = csv_record_size(&scan, text, end);
    int bad = 0;
    if (!end && cut && !csv_scan_quoted(&scan))
        bad = too_long(e);
    else
        bad = csv_record_read(r, text, scan.separator, e);
    if (bad == 0 && r->n != m->n_columns)
        bad = error_set(e, STATUS_BAD, "%zu fields, but the first line names %zu columns", r->n, m->n_columns);
    for (size_t i = 0; bad == 0 && i < r->n; i++) {
        json_t *value = json_stringn((const char *)r->field[i].data, r->field[i].size);
        if (!value)
            bad = error_set(e, STATUS_BAD, "column '%s' is not UTF-8", m->column[i]);
        else if (json_object_set_new(row, m->column[i], value) < 0)
            bad = error_memory(e);
    }
    csv_record_release(r);
    free(r);
    if (bad == 0)
        return row;
    json_decref(row);
    return NULL;
}

/* Row i is a piece of a longer one, or stays as it is. */
static json_t *row_split(const struct manifest *m, uint64_t i, json_t *row, struct error *e)
{
    char number[24], place[512];
    const char *id;
    size_t n;
    uint64_t first = i;
    int64_t pieces = split_count(m->split, row, e);
    while (first && m->place[first - 1].offset == m->place[i].offset)
        first--;
    if (manifest_id(row, m->split->id, number, &id, &n) <= 0) {
        snprintf(place, sizeof place, "%s:%llu", m->title, (unsigned long long)m->place[i].line);
        id = place;
    }
    if (pieces >= 0 && (!pieces || split_piece(m->split, row, (size_t)(i - first), id, e) == 0))
        return row;
    json_decref(row);
    return NULL;
}

json_t *manifest_row(const struct manifest *m, uint64_t i, struct error *e)
{
    uint64_t offset = m->place[i].offset, next = i + 1;
    while (next < m->rows && m->place[next].offset == offset)
        next++;
    uint64_t length = m->place[next].offset - offset;
    bool cut = length > MANIFEST_ROW_MAX;
    if (cut)
        length = MANIFEST_ROW_MAX;
    uint8_t *text = malloc((size_t)length + 1);
    if (!text) {
        error_memory(e);
        return NULL;
    }
    json_t *row = NULL;
    if (object_read(m->bytes, offset, (size_t)length, text, e) < 0) {
        if (e)
            e->status = STATUS_AGAIN;
    } else if (m->format == MANIFEST_JSONL) {
        row = jsonl_row(span_of(text, (size_t)length), cut, e);
    } else {
        row = csv_row(m, span_of(text, (size_t)length), cut, e);
    }
    free(text);
    return row && m->split ? row_split(m, i, row, e) : row;
}
