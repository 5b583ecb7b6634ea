/* libcommon/store/http/remote.h - reading an object by HTTP, whoever keeps it
 *
 * Opening reads the first MiB, so that a small object costs one request; larger
 * reads are parts of 8 MiB side by side.  What broke off is continued from its
 * last byte; every answer must be of the version that the first one was of; whole
 * objects are compared with the checksum that the store has of them. */
#ifndef PENSTOCK_REMOTE_H
#define PENSTOCK_REMOTE_H

#include <pthread.h>

#include "libcommon/store/checksum.h"
#include "libcommon/store/http/http.h"
#include "libcommon/store/kind.h"

struct remote;

/* What differs between stores. */
struct remote_kind {
    const struct store_kind *store;
    /* Begins r: URL, credentials, and unless n is 0 the range.  fresh: the last credentials were refused. */
    int (*prepare)(struct remote *o, struct http_request *r, uint64_t offset, uint64_t n, bool fresh, struct error *e);
    /* From the first answer: generation, checksum.  May be NULL. */
    void (*pin)(struct remote *o, const struct http_request *r);
    /* Is a later answer of the same version? */
    bool (*same)(const struct remote *o, const struct http_request *r);
    /* Asks for a checksum where pin found none (`want`).  May be NULL. */
    void (*sum)(struct remote *o);
    bool inflate;               /* Content-Encoding: gzip is how it is stored: undo it */
};

struct remote {
    struct object base;
    const struct remote_kind *how;
    char *request_url;
    char *etag;                 /* what pins it, where there is no generation */
    bool pinned;
    bool unranged;              /* the server ignores ranges */
    bool whole;                 /* `head` is all of it */
    struct buf head;            /* its first bytes */
    struct checksum want;       /* of all of it, as it is stored; kind NONE: unknown */
    bool unsure;                /* `want` may be none: an ETag that looks like an MD5 */
    pthread_mutex_t lock;       /* of what follows */
    bool asked;                 /* for `want` */
    uint64_t summed;            /* a checksum as it is read from begin to end */
    struct checksum_run *run;
};

/* Pinning by ETag, for stores that have no generations. */
void remote_pin_etag(struct remote *o, const struct http_request *r);
bool remote_same_etag(const struct remote *o, const struct http_request *r);

/* url and request_url are copied.  generation: 0, or the one that is wanted. */
struct object *remote_open(const struct remote_kind *how, const char *url, const char *request_url, uint64_t generation,
                           struct error *e);
int remote_read(struct object *o, uint64_t offset, size_t n, void *to, struct error *e);
void remote_close(struct object *o);

#endif
