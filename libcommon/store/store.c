/* libcommon/store/store.c - see store.h: which kind serves a URL, and what is the same for all */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/store/kind.h"

static const struct store_kind *const kinds[] = { &store_file, &store_http, &store_https, &store_gs, &store_s3 };

/* The length of "scheme" in "scheme://...", or 0 for a path. */
static size_t scheme_length(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return n > 1 && !strncmp(url + n, "://", 3) ? n : 0;
}

static const struct store_kind *kind_of(const char *url, struct error *e)
{
    size_t n = scheme_length(url);
    if (n == 0)
        return &store_file;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i]->scheme) == n && !strncasecmp(kinds[i]->scheme, url, n))
            return kinds[i];
    error_set(e, STATUS_BAD, "'%s': no store is known for '%.*s://'", url, (int)n, url);
    return NULL;
}

static int cannot(const struct store_kind *kind, const char *what, const char *url, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s': %s:// cannot %s", url, kind->scheme, what);
}

bool url_is_remote(const char *url)
{
    return scheme_length(url) > 0;
}

char *url_resolve(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/');
    if (*name == '/' || url_is_remote(name) || !slash)
        return strdup(name);
    size_t n = (size_t)(slash + 1 - base);
    char *url = malloc(n + strlen(name) + 1);
    if (url) {
        memcpy(url, base, n);
        strcpy(url + n, name);
    }
    return url;
}

struct object *object_open_version(const char *url, uint64_t generation, struct error *e)
{
    const struct store_kind *kind = kind_of(url, e);
    return kind ? kind->open(url, generation, e) : NULL;
}

struct object *object_open(const char *url, struct error *e)
{
    return object_open_version(url, 0, e);
}

const struct object_info *object_info(const struct object *o)
{
    return &o->info;
}

int object_read(struct object *o, uint64_t offset, size_t n, void *to, struct error *e)
{
    if (offset > o->info.size || n > o->info.size - offset)
        return error_set(e, STATUS_BAD, "'%s': %zu bytes from byte %llu were asked for, it has %llu", o->url, n,
                         (unsigned long long)offset, (unsigned long long)o->info.size);
    return n ? o->kind->read(o, offset, n, to, e) : 0;
}

void object_close(struct object *o)
{
    if (o)
        o->kind->close(o);
}

int store_get(const char *url, struct buf *b, struct error *e)
{
    struct object *o = object_open(url, e);
    if (!o)
        return -1;
    uint64_t size = o->info.size;
    int r = -1;
    uint8_t *to;
    if (size > b->max || b->size > b->max - (size_t)size)
        error_set(e, STATUS_BAD, "'%s' has %llu bytes, at most %zu are taken", url, (unsigned long long)size, b->max);
    else if (!(to = buf_extend(b, (size_t)size)) && size)
        error_set(e, STATUS_AGAIN, "'%s': out of memory", url);
    else
        r = object_read(o, 0, (size_t)size, to, e);
    object_close(o);
    return r;
}

int store_put(const char *url, const void *data, size_t n, struct error *e)
{
    const struct store_kind *kind = kind_of(url, e);
    if (!kind)
        return -1;
    return kind->put ? kind->put(url, data, n, e) : cannot(kind, "be written to", url, e);
}

int store_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx,
               struct error *e)
{
    const struct store_kind *kind = kind_of(prefix, e);
    if (!kind)
        return -1;
    return kind->list ? kind->list(prefix, each, ctx, e) : cannot(kind, "be listed", prefix, e);
}

int store_stat(const char *url, struct object_info *i, struct error *e)
{
    const struct store_kind *kind = kind_of(url, e);
    struct object_info unused;
    if (!kind)
        return -1;
    return kind->stat ? kind->stat(url, i ? i : &unused, e) : cannot(kind, "be asked for objects", url, e);
}

int store_delete(const char *url, struct error *e)
{
    const struct store_kind *kind = kind_of(url, e);
    if (!kind)
        return -1;
    return kind->remove ? kind->remove(url, e) : cannot(kind, "delete", url, e);
}

int store_uploads_drop(const char *prefix, struct error *e)
{
    const struct store_kind *kind = kind_of(prefix, e);
    return !kind ? -1 : kind->uploads_drop ? kind->uploads_drop(prefix, e) : 0;
}

struct store_writer *store_writer_open(const char *url, struct error *e)
{
    const struct store_kind *kind = kind_of(url, e);
    if (!kind)
        return NULL;
    if (!kind->writer_open) {
        cannot(kind, "be written to", url, e);
        return NULL;
    }
    return kind->writer_open(url, e);
}

int store_writer_append(struct store_writer *w, const void *data, size_t n, struct error *e)
{
    return w->kind->writer_append(w, data, n, e);
}

int store_writer_commit(struct store_writer *w, struct error *e)
{
    return w->kind->writer_commit(w, e);
}

void store_writer_abort(struct store_writer *w)
{
    if (w)
        w->kind->writer_abort(w);
}
