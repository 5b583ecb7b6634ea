/* cmd/gcs-fetch/row.h - a row of a manifest becomes a sample */
#ifndef GCS_FETCH_ROW_H
#define GCS_FETCH_ROW_H

#include "libcommon/manifest/manifest.h"
#include "libcommon/stream/format/sample.h"

/* Which column means what; NULL: guessed from the common names. */
struct columns {
    const char *id, *audio, *image, *text, *prompt, *response, *messages, *language, *duration;
};

/* Names of columns that are a row's text, the usual one first; NULL-terminated. */
extern const char *const row_texts[];

struct row_source {
    const struct manifest *manifest;
    const char *base;           /* media are relative to the directory of this path or URL */
    bool plan_only;             /* names of media instead of their bytes (media.h) */
    struct columns columns;
};

/* The columns of this row that would be used, for the user: "audio 'path', text 'sentence'"; 0 if none is known. */
int row_columns(const struct columns *c, const json_t *row, char *text, size_t size);

/* Fills s, which has its id, with the row: texts and the bytes of its media, at most
 * `room` bytes of them.  -1: STATUS_BAD, the row cannot be used; STATUS_AGAIN, it
 * cannot be read now. */
int row_sample(const struct row_source *r, json_t *row, struct sample *s, size_t room, struct error *e);

#endif
