/* libcommon/manifest/import/import_impl.h - what the files of an import share; all write rows to fd, a temporary file */
#ifndef PENSTOCK_IMPORT_IMPL_H
#define PENSTOCK_IMPORT_IMPL_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/sys/error.h"

int import_kaldi(const char *dir, int fd, struct error *e);
/* All shards that a name with braces stands for. */
int import_shards(const char *name, int fd, struct error *e);
/* One shard; base: so much of its name is the directory that rows are relative to. */
int import_shard(const char *path, size_t base, uint64_t generation, int fd, struct error *e);
/* The length of the directory in the name of shards: up to the last slash before a brace. */
size_t import_shards_base(const char *name);
/* A line; takes the row.  name: what is imported, for the error. */
int import_row_write(int fd, json_t *row, const char *name, struct error *e);

#endif
