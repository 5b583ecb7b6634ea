/* libcommon/store/store.h - objects that can be read by range and written at once
 *
 * One interface, one file a kind (libcommon/store/kind.h): file.c (paths and
 * file://), http/http_store.c, gs/, s3/.  Calls block.  Threads may use the store side by
 * side and read from one struct object; a store_writer belongs to one thread.
 * An object is pinned when it is opened: if it is replaced afterwards, reads
 * fail with "object changed", never mix two versions. */
#ifndef PENSTOCK_STORE_H
#define PENSTOCK_STORE_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct object_info {
    uint64_t size;
    uint64_t generation;        /* of a file: its mtime in ns; 0 unknown */
    bool has_crc32c;
    uint32_t crc32c;
};

struct object;
struct object *object_open(const char *url, struct error *e);           /* NULL: missing, a directory, a device, ... */
/* The same of one version (a generation, where the store has them; 0: the newest). */
struct object *object_open_version(const char *url, uint64_t generation, struct error *e);
const struct object_info *object_info(const struct object *o);
/* Exactly n bytes from offset into `to`; -1 also if the object is shorter. */
int object_read(struct object *o, uint64_t offset, size_t n, void *to, struct error *e);
void object_close(struct object *o);

/* A whole object into b (at most b->max bytes). */
int store_get(const char *url, struct buf *b, struct error *e);
/* An object that appears whole or not at all. */
int store_put(const char *url, const void *data, size_t n, struct error *e);
/* Calls each for every object under the prefix, in the order of its name; each returns 0 to go on. */
int store_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx,
               struct error *e);

/* 1: there, *i filled (i may be NULL); 0: no such object; -1: could not be found out. */
int store_stat(const char *url, struct object_info *i, struct error *e);
/* Fine if it is not there. */
int store_delete(const char *url, struct error *e);

/* An object too large for memory, written piece by piece.  It appears at commit,
 * whole and durable, or not at all; an older one of that name stays until then.
 * Commit and abort free w, whatever they return; abort takes NULL.  After a failed
 * append only abort is left to call.
 * What was uploaded when a writer was aborted or killed is kept by the store, and
 * need not be sent again by the next writer of that name whose bytes are the same.
 * So one name has one writer at a time. */
struct store_writer;
struct store_writer *store_writer_open(const char *url, struct error *e);
int store_writer_append(struct store_writer *w, const void *data, size_t n, struct error *e);
int store_writer_commit(struct store_writer *w, struct error *e);
void store_writer_abort(struct store_writer *w);
/* Gives up all uploads under the prefix that are unfinished: where they cost money. */
int store_uploads_drop(const char *prefix, struct error *e);

/* Credentials, where the environment is not to decide (docs/penstock-stores.7); call before threads start. */
void store_anonymous(void);
void store_token_file(const char *path);        /* path: kept */

/* Is this a URL of a store (gs://, s3://, http(s)://, file://), or a path? */
bool url_is_remote(const char *url);
/* `name` relative to the directory (or prefix) that holds `base`; absolute paths and URLs stay. malloc'd. */
char *url_resolve(const char *base, const char *name);

#endif
