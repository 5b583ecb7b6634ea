/* libcommon/store/gs/gs.c - the store gs://: reading, asking, listing; writing is in write.c
 *
 * https://cloud.google.com/storage/docs/json_api.  Objects are pinned by their
 * generation; stored gzip is inflated here, after its checksum. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/gs/auth.h"
#include "libcommon/store/gs/google.h"
#include "libcommon/store/http/remote_impl.h"

enum { PAGE_MAX = 64 << 20 };

static int gs_prepare(struct remote *o, struct http_request *r, uint64_t offset, uint64_t n, bool fresh, struct error *e)
{
    char *url;
    if (asprintf(&url, o->base.info.generation ? "%s&generation=%llu" : "%s", o->request_url,
                 (unsigned long long)o->base.info.generation) < 0)
        return error_memory(e);
    int bad = http_init(r, "GET", url, e);
    free(url);
    if (bad)
        return -1;
    http_header(r, "Accept-Encoding: gzip");
    if (n)
        http_header(r, "Range: bytes=%llu-%llu", (unsigned long long)offset, (unsigned long long)(offset + n - 1));
    if (auth_google(r, fresh, e) == 0)
        return 0;
    http_release(r);
    return -1;
}

static void gs_pin(struct remote *o, const struct http_request *r)
{
    http_answer_u64(r, "x-goog-generation", &o->base.info.generation);
    for (struct span h = http_answer(r, "x-goog-hash"); h.data; h = http_answer_next(r, "x-goog-hash", h)) {
        const uint8_t *at = memmem(h.data, h.size, "crc32c=", 7);
        if (!at)
            continue;
        struct span text = span_of(at + 7, h.size - (size_t)(at + 7 - h.data));
        const uint8_t *comma = memchr(text.data, ',', text.size);
        if (comma)
            text.size = (size_t)(comma - text.data);
        if (checksum_from_base64(&o->want, CHECKSUM_CRC32C, text)) {
            o->base.info.has_crc32c = true;
            o->base.info.crc32c = checksum_number(&o->want);
        }
    }
    /* The server has inflated it already: the checksum is of other bytes. */
    if (remote_gunzipped(r)) {
        o->base.info.has_crc32c = false;
        o->want.kind = CHECKSUM_NONE;
    }
}

static bool gs_same(const struct remote *o, const struct http_request *r)
{
    uint64_t generation;
    return !o->base.info.generation || !http_answer_u64(r, "x-goog-generation", &generation) ||
           generation == o->base.info.generation;
}

static const struct remote_kind gs_kind = {
    .store = &store_gs, .prepare = gs_prepare, .pin = gs_pin, .same = gs_same, .inflate = true,
};

/* The address of an object's content (alt=media) or of what is known of it. */
static char *object_url(const char *url, const char *query, struct error *e)
{
    struct gs_name name;
    char *request = NULL, *endpoint = gs_endpoint(), *project = gs_user_project();
    if (endpoint && project && gs_name_read(url, &name, true, e) == 0) {
        if (asprintf(&request, "%s/storage/v1/b/%s/o/%s?%s%s", endpoint, name.bucket_escaped, name.object_escaped,
                     query, project) < 0)
            request = NULL, error_memory(e);
        gs_name_release(&name);
    }
    free(endpoint);
    free(project);
    return request;
}

static struct object *gs_open(const char *url, uint64_t generation, struct error *e)
{
    char *request = object_url(url, "alt=media", e);
    struct object *o = request ? remote_open(&gs_kind, url, request, generation, e) : NULL;
    free(request);
    return o;
}

static int gs_stat(const char *url, struct object_info *i, struct error *e)
{
    char *request = object_url(url, "fields=size,generation,crc32c", e);
    struct http_request r;
    struct buf answer;
    buf_init(&answer, HTTP_REASON_MAX);
    int found = request ? gs_call(url, "GET", request, NULL, NULL, &r, &answer, e) : -1;
    if (found == 0) {
        json_error_t why;
        json_t *j = r.status == 200 ? json_loadb((const char *)answer.data, answer.size, 0, &why) : NULL;
        if (gs_resource_read(j, i))
            found = 1;
        else if (r.status == 200)
            found = error_set(e, STATUS_AGAIN, "'%s': the store's answer is no resource", url);
        else if (r.status != 404)
            found = gs_refused(url, &r, e);
        json_decref(j);
        http_release(&r);
    }
    buf_release(&answer);
    free(request);
    return found;
}

int gs_remove_version(const char *url, uint64_t generation, struct error *e)
{
    char query[40] = "";
    if (generation)
        snprintf(query, sizeof query, "generation=%llu", (unsigned long long)generation);
    char *request = object_url(url, query, e);
    struct http_request r;
    struct buf answer;
    buf_init(&answer, HTTP_REASON_MAX);
    int bad = request ? gs_call(url, "DELETE", request, NULL, NULL, &r, &answer, e) : -1;
    if (bad == 0) {
        if (r.status / 100 != 2 && r.status != 404)
            bad = gs_refused(url, &r, e);
        http_release(&r);
    }
    buf_release(&answer);
    free(request);
    return bad;
}

static int gs_remove(const char *url, struct error *e)
{
    return gs_remove_version(url, 0, e);
}

/* --- listing ------------------------------------------------------------------------ */

struct listing {
    const char *bucket;
    int (*each)(void *ctx, const char *url, const struct object_info *i);
    void *ctx;
};

static int page_walk(const struct listing *l, const json_t *page, struct error *e)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(page, "items"), i, item) {
        struct object_info info;
        const char *name = json_string_value(json_object_get(item, "name"));
        char *url;
        if (!name || !gs_resource_read(item, &info))
            return error_set(e, STATUS_AGAIN, "'gs://%s': an item of the listing has no name or size", l->bucket);
        if (asprintf(&url, "gs://%s/%s", l->bucket, name) < 0)
            return error_memory(e);
        int r = l->each(l->ctx, url, &info);
        free(url);
        if (r != 0)
            return r;
    }
    return 0;
}

/* One page; *token becomes that of the next, or NULL.  A page may be empty and not the last. */
static int page_get(const struct listing *l, const char *prefix, const char *base, char **token, struct error *e)
{
    struct http_request r;
    struct buf answer;
    char *escaped = *token ? url_escape(*token, "") : NULL, *url;
    if ((*token && !escaped) || asprintf(&url, "%s%s%s", base, escaped ? "&pageToken=" : "", escaped ? escaped : "") < 0) {
        free(escaped);
        return error_memory(e);
    }
    free(escaped);
    buf_init(&answer, PAGE_MAX);
    int bad = gs_call(prefix, "GET", url, NULL, NULL, &r, &answer, e);
    free(url);
    if (bad == 0) {
        json_error_t why;
        json_t *page = r.status == 200 ? json_loadb((const char *)answer.data, answer.size, 0, &why) : NULL;
        if (r.status != 200)
            bad = gs_refused(prefix, &r, e);
        else if (!json_is_object(page))
            bad = error_set(e, STATUS_AGAIN, "'%s': the listing is no JSON object", prefix);
        else
            bad = page_walk(l, page, e);
        const char *next = json_string_value(json_object_get(page, "nextPageToken"));
        if (bad == 0 && next && *token && !strcmp(next, *token))
            bad = error_set(e, STATUS_AGAIN, "'%s': the listing goes in a circle", prefix);
        free(*token);
        *token = bad == 0 && next && *next ? strdup(next) : NULL;
        json_decref(page);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static int gs_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx,
                   struct error *e)
{
    struct gs_name name;
    if (gs_name_read(prefix, &name, false, e) < 0)
        return -1;
    char *endpoint = gs_endpoint(), *project = gs_user_project(), *base, *token = NULL;
    int bad = -1;
    if (!endpoint || !project ||
        asprintf(&base, "%s/storage/v1/b/%s/o?prefix=%s&maxResults=1000"
                        "&fields=items(name,generation,size,crc32c),nextPageToken%s",
                 endpoint, name.bucket_escaped, name.object_escaped, project) < 0) {
        error_memory(e);
    } else {
        struct listing l = { name.bucket, each, ctx };
        do
            bad = page_get(&l, prefix, base, &token, e);
        while (bad == 0 && token);
        free(base);
        free(token);
    }
    free(endpoint);
    free(project);
    gs_name_release(&name);
    return bad;
}

const struct store_kind store_gs = {
    .scheme = "gs", .open = gs_open, .read = remote_read, .close = remote_close, .stat = gs_stat, .list = gs_list,
    .remove = gs_remove, .put = gs_put, .writer_open = gs_writer_open, .writer_append = gs_writer_append,
    .writer_commit = gs_writer_commit, .writer_abort = gs_writer_abort,
};
