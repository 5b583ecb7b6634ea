/* libcommon/store/kind.h - what a kind of store implements; store.c chooses by the URL's scheme
 *
 * A kind keeps its own state in a struct that begins with struct object (or
 * struct store_writer).  Functions may be NULL: store.c says that the kind
 * cannot do it. */
#ifndef PENSTOCK_STORE_KIND_H
#define PENSTOCK_STORE_KIND_H

#include "libcommon/store/store.h"

struct store_kind {
    const char *scheme;         /* "gs"; the URL starts with it and "://" */
    /* generation: 0, or the version that is wanted, where there are versions */
    struct object *(*open)(const char *url, uint64_t generation, struct error *e);
    int (*read)(struct object *o, uint64_t offset, size_t n, void *to, struct error *e);    /* within the size */
    void (*close)(struct object *o);
    int (*put)(const char *url, const void *data, size_t n, struct error *e);
    int (*list)(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx,
                struct error *e);
    int (*stat)(const char *url, struct object_info *i, struct error *e);
    int (*remove)(const char *url, struct error *e);
    int (*uploads_drop)(const char *prefix, struct error *e);       /* NULL: unfinished ones cost nothing there */
    struct store_writer *(*writer_open)(const char *url, struct error *e);
    int (*writer_append)(struct store_writer *w, const void *data, size_t n, struct error *e);
    int (*writer_commit)(struct store_writer *w, struct error *e);
    void (*writer_abort)(struct store_writer *w);
};

struct object {
    const struct store_kind *kind;
    struct object_info info;
    char *url;                  /* for messages; owned by the kind */
};

struct store_writer {
    const struct store_kind *kind;
};

extern const struct store_kind store_file, store_http, store_https, store_gs, store_s3;

/* An object over an open file, which it owns and closes; `name` is for messages. */
struct object *object_from_fd(int fd, const char *name, struct error *e);

#endif
