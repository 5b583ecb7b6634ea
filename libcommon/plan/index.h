/* libcommon/plan/index.h - what the index of a manifest and its rows agree on */
#ifndef PENSTOCK_INDEX_H
#define PENSTOCK_INDEX_H

#include "libcommon/plan/manifest.h"

enum { MANIFEST_ROW_MAX = 64 << 20 };       /* bytes of a row; a longer one is broken */

/* 0 for lines of JSON. */
char manifest_separator(enum manifest_format format);

#endif
