/* cmd/shared/text/columns.h - a column of a manifest's row, wherever the sample holds it */
#ifndef PENSTOCK_COLUMNS_H
#define PENSTOCK_COLUMNS_H

#include "kernels/text/tokenizer/tokenizer.h"
#include "libcommon/stream/format/sample.h"

/* A field of the sample, else of its "row"; false: neither. */
bool column_get(const struct sample *s, const char *key, struct span *value);
/* Its text: 1; 0 absent, nil or empty; -1 another type. */
int column_str(const struct sample *s, const char *key, struct str *to, struct error *e);

#endif
