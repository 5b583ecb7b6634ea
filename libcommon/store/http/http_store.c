/* libcommon/store/http/http_store.c - the stores http:// and https://: reading what any server offers
 *
 * Pinned by ETag and length.  Servers may ignore ranges, and may not say how long
 * an object is. */
#include "libcommon/store/http/remote.h"

static int http_prepare(struct remote *o, struct http_request *r, uint64_t offset, uint64_t n, bool fresh, struct error *e)
{
    (void)fresh;
    if (http_init(r, "GET", o->request_url, e) < 0)
        return -1;
    r->follow = true;
    if (n)
        http_header(r, "Range: bytes=%llu-%llu", (unsigned long long)offset, (unsigned long long)(offset + n - 1));
    return 0;
}

static const struct remote_kind http_kind = {
    .store = &store_http, .prepare = http_prepare, .pin = remote_pin_etag, .same = remote_same_etag,
};
static const struct remote_kind https_kind = {
    .store = &store_https, .prepare = http_prepare, .pin = remote_pin_etag, .same = remote_same_etag,
};

static struct object *http_open(const char *url, uint64_t generation, struct error *e)
{
    (void)generation;
    return remote_open(&http_kind, url, url, 0, e);
}

static struct object *https_open(const char *url, uint64_t generation, struct error *e)
{
    (void)generation;
    return remote_open(&https_kind, url, url, 0, e);
}

const struct store_kind store_http = { .scheme = "http", .open = http_open, .read = remote_read, .close = remote_close };
const struct store_kind store_https = { .scheme = "https", .open = https_open, .read = remote_read, .close = remote_close };
