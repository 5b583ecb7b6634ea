/* libcommon/manifest/manifest.h - a manifest as numbered rows
 *
 * One pass finds where rows begin; of each, 16 bytes are kept in a temporary file
 * that is mapped.  The manifest itself is read row by row where it lies (standard
 * input, remote and gzipped ones are copied to a temporary file first), so memory
 * does not grow with it. */
#ifndef PENSTOCK_MANIFEST_H
#define PENSTOCK_MANIFEST_H

#include <jansson.h>

#include "libcommon/format/csv.h"
#include "libcommon/manifest/split.h"
#include "libcommon/store/store.h"

enum manifest_format { MANIFEST_JSONL, MANIFEST_CSV, MANIFEST_TSV };

struct row_place {
    uint64_t offset;            /* of its first byte; the pieces of one row share it */
    uint64_t line;              /* counted from 1 */
};

struct manifest {
    const char *name;           /* as given; "stdin" for "-" */
    char *title;                /* its last part without .gz, for ids of rows that have none */
    enum manifest_format format;
    struct object *bytes;
    char **column;              /* CSV, TSV: the names in the first line */
    size_t n_columns;
    const struct row_place *place;      /* rows + 1 of them: the last is where the rows end */
    uint64_t rows;
    const struct split *split;  /* NULL: rows stay whole */
    uint8_t hash[32];           /* SHA-256 of all bytes up to the end of the last row */
};

/* format NULL: by the name's ending, else by the first byte.  limit 0: all rows.
 * id_column NULL: "id".  split may be NULL; it stays the caller's, and `limit` counts rows that are not split yet.
 * -1 also for two rows of one id, naming their lines. */
int manifest_open(struct manifest *m, const char *name, const char *format, uint64_t limit, const char *id_column,
                  const struct split *split, struct error *e);
void manifest_close(struct manifest *m);

/* Row i as an object, to be released by the caller; may be called from several
 * threads.  NULL: status STATUS_BAD, the row is broken, and e says how; STATUS_AGAIN,
 * it cannot be read. */
json_t *manifest_row(const struct manifest *m, uint64_t i, struct error *e);
/* The id of a row: text, or a whole number.  1 there, 0 none (absent, null, empty), -1 neither. */
int manifest_id(const json_t *row, const char *column, char number[24], const char **id, size_t *n);

#endif
