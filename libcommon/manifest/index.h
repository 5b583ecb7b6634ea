/* libcommon/manifest/index.h - what the index of a manifest and its rows agree on */
#ifndef PENSTOCK_INDEX_H
#define PENSTOCK_INDEX_H

#include "libcommon/manifest/manifest.h"

enum { MANIFEST_ROW_MAX = 64 << 20 };       /* bytes of a row; a longer one is broken */

/* 0 for lines of JSON. */
char manifest_separator(enum manifest_format format);
/* -1 also if two rows have one id: their lines are named. */
struct ids;
int index_ids_check(const struct manifest *m, struct ids *ids, const char *id_column, struct error *e);

#endif
