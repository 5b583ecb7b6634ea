/* libcommon/manifest/index.c - opening a manifest: one pass over its bytes that finds rows and double ids */
#include "libcommon/manifest/index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcommon/format/json.h"
#include "libcommon/format/json_peek.h"
#include "libcommon/manifest/ids.h"
#include "libcommon/manifest/records.h"
#include "libcommon/manifest/spool.h"
#include "libcommon/sys/temporary.h"
#include "libcommon/sys/text.h"

enum { PLACES = 4096 };

struct pass {
    struct manifest *m;
    const char *id_column;
    struct records from;
    struct row_place place[PLACES];     /* not yet in the file */
    size_t n_places;
    int fd;                     /* the index */
    uint64_t explicit_ids;
    struct ids *ids;
    struct csv_record record;
};

char manifest_separator(enum manifest_format format)
{
    return format == MANIFEST_CSV ? ',' : format == MANIFEST_TSV ? '\t' : 0;
}

static bool blank(struct span s)
{
    size_t i = 0;
    while (i < s.size && (s.data[i] == '\n' || s.data[i] == '\r' || s.data[i] == ' ' || s.data[i] == '\t'))
        i++;
    return i == s.size;
}

/* --- the first bytes ---------------------------------------------------------------- */

static int encoding_check(struct pass *p, struct error *e)
{
    static const struct { const char *magic, *program; } packers[] = {     /* gzip was inflated already (spool.h) */
        { "\x1f\x8b", "gzip" }, { "\x28\xb5\x2f\xfd", "zstd" }, { "\xfd" "7zXZ", "xz" }, { "BZh", "bzip2" },
    };
    const char *name = p->m->name;
    const uint8_t *b = records_rest(&p->from).data;
    size_t n = records_rest(&p->from).size;
    if (n >= 3 && !memcmp(b, "\xef\xbb\xbf", 3))
        records_skip(&p->from, 3);
    if (n >= 2 && (!memcmp(b, "\xff\xfe", 2) || !memcmp(b, "\xfe\xff", 2)))
        return error_set(e, STATUS_BAD, "'%s' is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8", name);
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++)
        if (n >= strlen(packers[i].magic) && !memcmp(b, packers[i].magic, strlen(packers[i].magic)))
            return error_set(e, STATUS_BAD, "'%s' is compressed; use: %s -dc '%s' | gcs-fetch --base DIR -", name,
                             packers[i].program, name);
    if (n > 262 && !memcmp(b + 257, "ustar", 5))
        return error_set(e, STATUS_BAD, "'%s' is a tar archive: shards are uncompressed, and called something.tar", name);
    if (n >= 4 && !memcmp(b, "PAR1", 4))
        return error_set(e, STATUS_BAD, "'%s' is Parquet, which is not read yet; make it lines of JSON", name);
    return 0;
}

static int format_choose(struct pass *p, const char *format, struct error *e)
{
    static const struct { const char *name; enum manifest_format format; } known[] = {
        { "jsonl", MANIFEST_JSONL }, { "ndjson", MANIFEST_JSONL }, { "json", MANIFEST_JSONL },
        { "csv", MANIFEST_CSV }, { "tsv", MANIFEST_TSV },
    };
    const char *dot = strrchr(p->m->title, '.');
    const char *word = format ? format : dot ? dot + 1 : "";
    struct span rest = records_rest(&p->from);
    const uint8_t *b = rest.data, *end = rest.data + rest.size;
    while (b < end && strchr(" \t\r\n", *b) && *b)
        b++;
    uint8_t first = b < end ? *b : 0;
    const uint8_t *newline = b < end ? memchr(b, '\n', (size_t)(end - b)) : NULL;
    p->m->format = first == '{' ? MANIFEST_JSONL :
                   first && memchr(b, '\t', (size_t)((newline ? newline : end) - b)) ? MANIFEST_TSV : MANIFEST_CSV;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(word, known[i].name))
            p->m->format = known[i].format;
    p->from.separator = manifest_separator(p->m->format);
    if (p->m->format == MANIFEST_JSONL && first == '[')
        return error_set(e, STATUS_BAD, "'%s' is one JSON list, not a JSON object a line; use: jq -c '.[]' '%s'",
                         p->m->name, p->m->name);
    return 0;
}

static int columns_read(struct pass *p, struct error *e)
{
    struct manifest *m = p->m;
    int found;
    while ((found = records_next(&p->from, e)) > 0 && blank(p->from.record))        /* such lines may come first */
        if (records_pass(&p->from, e) < 0)
            return -1;
    if (found <= 0)
        return found < 0 ? -1 : error_set(e, STATUS_BAD, "'%s' is empty", m->name);
    if (csv_record_read(&p->record, p->from.record, p->from.separator, e) < 0)
        return error_prefix(e, "'%s' line %llu (names of columns)", m->name, (unsigned long long)p->from.line);
    if (records_pass(&p->from, e) < 0)
        return -1;
    if (!(m->column = calloc(p->record.n, sizeof *m->column)))
        return error_memory(e);
    for (size_t i = 0; i < p->record.n; i++) {
        struct span f = p->record.field[i];
        if (!text_is_utf8(f.data, f.size) || memchr(f.data, 0, f.size))
            return error_set(e, STATUS_BAD, "'%s': the name of column %zu is not UTF-8", m->name, i + 1);
        if (!(m->column[m->n_columns++] = strndup((const char *)f.data, f.size)))
            return error_memory(e);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(m->column[i], m->column[j]))
                return error_set(e, STATUS_BAD, "'%s': columns %zu and %zu are both called '%s'", m->name, j + 1, i + 1,
                                 m->column[i]);
    }
    return 0;
}

/* --- rows --------------------------------------------------------------------------- */

static int places_write(struct pass *p, struct error *e)
{
    if (temporary_write(p->fd, p->place, p->n_places * sizeof *p->place, p->m->name, e) < 0)
        return -1;
    p->n_places = 0;
    return 0;
}

static int place_add(struct pass *p, struct error *e)
{
    p->place[p->n_places++] = (struct row_place){ p->from.base + p->from.at, p->from.line };
    return p->n_places == PLACES ? places_write(p, e) : 0;
}

/* The id of a row that may be broken: then it has none. */
static struct span id_of(struct pass *p, struct span row, struct buf *scratch)
{
    const char *column = p->id_column ? p->id_column : "id";
    struct span id = { 0 };
    if (p->from.cut)
        return id;
    if (p->m->format != MANIFEST_JSONL) {
        if (csv_record_read(&p->record, row, p->from.separator, NULL) < 0 || p->record.n != p->m->n_columns)
            return id;
        for (size_t i = 0; i < p->m->n_columns; i++)
            if (!strcmp(p->m->column[i], column))
                return p->record.field[i];
        return id;
    }
    if (json_peek(row, column, &id) >= 0)
        return id;
    json_error_t why;
    json_t *j = json_load_row(row, &why);
    char number[24];
    const char *text;
    size_t n;
    buf_clear(scratch);
    if (manifest_id(j, column, number, &text, &n) == 1)
        buf_append(scratch, text, n);
    json_decref(j);
    return span_of(scratch->data, scratch->size);
}

/* How many rows it makes; cut: they are pieces, called ID#1, ID#2 ... */
static uint64_t pieces_of(const struct pass *p, struct span row, bool *cut)
{
    json_error_t why;
    *cut = false;
    if (!p->m->split || p->from.cut || p->m->format != MANIFEST_JSONL)
        return 1;
    json_t *j = json_load_row(row, &why);
    int64_t n = split_count(p->m->split, j, NULL);
    json_decref(j);
    *cut = n > 0;
    return n > 0 ? (uint64_t)n : 1;
}

static int row_add(struct pass *p, struct span row, struct buf *scratch, struct error *e)
{
    struct span id = id_of(p, row, scratch);
    struct buf piece;
    bool cut;
    uint64_t n = pieces_of(p, row, &cut);
    int bad = 0;
    if (id.size) {
        p->explicit_ids++;
    } else {
        buf_clear(scratch);
        buf_printf(scratch, "%s:%llu", p->m->title, (unsigned long long)p->from.line);
        id = span_of(scratch->data, scratch->size);
    }
    buf_init(&piece, MANIFEST_ROW_MAX);
    for (uint64_t k = 0; k < n && !bad; k++) {
        buf_clear(&piece);
        buf_append(&piece, id.data, id.size);
        if (cut)
            buf_printf(&piece, "#%llu", (unsigned long long)k + 1);
        bad = ids_add(p->ids, span_of(piece.data, piece.size), p->m->rows, e) < 0 || place_add(p, e) < 0;
        p->m->rows += !bad;
    }
    buf_release(&piece);
    return bad ? -1 : 0;
}

static int rows_read(struct pass *p, uint64_t limit, struct error *e)
{
    struct buf scratch;
    buf_init(&scratch, MANIFEST_ROW_MAX);
    uint64_t found = 0;
    int more = 1;
    while ((limit == 0 || found < limit) && more > 0 && (more = records_next(&p->from, e)) > 0) {
        if (!blank(p->from.record)) {
            found++;
            if (row_add(p, p->from.record, &scratch, e) < 0)
                more = -1;
        }
        if (more > 0 && records_pass(&p->from, e) < 0)
            more = -1;
    }
    buf_release(&scratch);
    if (more < 0 || place_add(p, e) < 0 || places_write(p, e) < 0)
        return -1;
    if (p->m->rows == 0)
        return error_set(e, STATUS_BAD, "'%s' has no rows", p->m->name);
    return 0;
}

static int place_map(struct pass *p, struct error *e)
{
    size_t size = ((size_t)p->m->rows + 1) * sizeof *p->m->place;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, p->fd, 0);
    if (map == MAP_FAILED)
        return error_set(e, STATUS_AGAIN, "cannot map the index: %s", strerror(errno));
    p->m->place = map;
    return 0;
}

/* --- opening ------------------------------------------------------------------------ */

static int index_make(struct pass *p, const char *format, uint64_t limit, struct error *e)
{
    if ((p->fd = temporary_file(e)) < 0 || !(p->ids = ids_open(p->m->name, e)))
        return -1;
    if (records_init(&p->from, p->m->bytes, e) < 0 || records_fill(&p->from, e) < 0)
        return -1;
    if (encoding_check(p, e) < 0 || format_choose(p, format, e) < 0)
        return -1;
    if (p->m->format != MANIFEST_JSONL && columns_read(p, e) < 0)
        return -1;
    if (rows_read(p, limit, e) < 0 || place_map(p, e) < 0)
        return -1;
    EVP_DigestFinal_ex(p->from.digest, p->m->hash, NULL);
    return p->explicit_ids ? index_ids_check(p->m, p->ids, p->id_column, e) : 0;     /* others are named by their lines */
}

int manifest_open(struct manifest *m, const char *name, const char *format, uint64_t limit, const char *id_column,
                  const struct split *split, struct error *e)
{
    *m = (struct manifest){ .name = name, .split = split };
    if (!(m->bytes = spool_open(name, e)))
        return -1;
    if (!strcmp(name, "-"))
        m->name = "stdin";
    const char *slash = strrchr(m->name, '/');
    const char *last = slash ? slash + 1 : m->name;
    size_t n = strlen(last);
    m->title = strndup(last, n > 3 && !strcasecmp(last + n - 3, ".gz") ? n - 3 : n);
    struct pass *p = m->title ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        manifest_close(m);
        return error_memory(e);
    }
    p->m = m;
    p->id_column = id_column;
    p->fd = -1;
    csv_record_init(&p->record);
    int r = index_make(p, format, limit, e);
    ids_close(p->ids);
    if (p->fd >= 0)
        close(p->fd);
    records_release(&p->from);
    csv_record_release(&p->record);
    free(p);
    if (r < 0)
        manifest_close(m);
    return r;
}

void manifest_close(struct manifest *m)
{
    if (m->place)
        munmap((void *)m->place, ((size_t)m->rows + 1) * sizeof *m->place);
    for (size_t i = 0; i < m->n_columns; i++)
        free(m->column[i]);
    free(m->column);
    free(m->title);
    object_close(m->bytes);
    *m = (struct manifest){ 0 };
}
