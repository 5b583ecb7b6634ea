/* libcommon/store/s3.c - the store s3://: reading, asking, listing; writing is in s3_write.c
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API.  Objects are pinned by ETag. */
#include "libcommon/store/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/remote.h"

enum { PAGE_MAX = 64 << 20 };

static int s3_prepare(struct remote *o, struct http_request *r, uint64_t offset, uint64_t n, bool fresh, struct error *e)
{
    (void)fresh;
    struct s3_name name;
    if (s3_name_read(o->base.url, &name, true, e) < 0)
        return -1;
    int bad = s3_request(r, "GET", &name, "", NULL, offset, n, o->pinned ? o->etag : NULL, e);
    s3_name_release(&name);
    return bad;
}

static const struct remote_kind s3_kind = {
    .store = &store_s3, .prepare = s3_prepare, .pin = remote_pin_etag, .same = remote_same_etag,
};

static struct object *s3_open(const char *url, uint64_t generation, struct error *e)
{
    (void)generation;
    return remote_open(&s3_kind, url, url, 0, e);
}

int s3_stat(const char *url, struct object_info *i, struct error *e)
{
    struct s3_name name;
    struct http_request r;
    struct buf answer;
    if (s3_name_read(url, &name, true, e) < 0)
        return -1;
    buf_init(&answer, HTTP_REASON_MAX);
    int found = s3_call(url, "HEAD", &name, "", NULL, &r, &answer, e);
    if (found == 0) {
        *i = (struct object_info){ 0 };
        if (r.status == 200 && http_answer_u64(&r, "Content-Length", &i->size))
            found = 1;
        else if (r.status != 404)
            found = s3_refused(url, &r, e);
        http_release(&r);
    }
    buf_release(&answer);
    s3_name_release(&name);
    return found;
}

static int s3_remove(const char *url, struct error *e)
{
    struct s3_name name;
    struct http_request r;
    struct buf answer;
    if (s3_name_read(url, &name, true, e) < 0)
        return -1;
    buf_init(&answer, HTTP_REASON_MAX);
    int bad = s3_call(url, "DELETE", &name, "", NULL, &r, &answer, e);
    if (bad == 0) {
        if (r.status / 100 != 2 && r.status != 404)
            bad = s3_refused(url, &r, e);
        http_release(&r);
    }
    buf_release(&answer);
    s3_name_release(&name);
    return bad;
}

/* --- listing ------------------------------------------------------------------------ */

struct listing {
    const char *prefix;         /* as it was given */
    int bucket;                 /* length of "s3://bucket/" in it */
    int (*each)(void *ctx, const char *url, const struct object_info *i);
    void *ctx;
};

/* Keys come percent-encoded, because XML cannot hold all of them. */
static void decode_append(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        char pair[3] = { 0 }, c = (char)s.data[i];
        if (c == '%' && i + 2 < s.size) {
            memcpy(pair, s.data + i + 1, 2);
            c = (char)strtol(pair, NULL, 16);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buf_append(b, &c, 1);
    }
}

static int page_walk(const struct listing *l, struct span page, struct error *e)
{
    struct span item;
    int r = 0;
    while (r == 0 && (item = xml_text(&page, "Contents")).data) {
        struct span again = item, key = xml_text(&item, "Key"), size = xml_text(&again, "Size");
        struct object_info info = { .size = size.data ? strtoull((const char *)size.data, NULL, 10) : 0 };
        struct buf url;
        buf_init(&url, 1 << 16);
        buf_append(&url, l->prefix, (size_t)l->bucket);
        if (l->prefix[l->bucket - 1] != '/')
            buf_append(&url, "/", 1);
        decode_append(&url, key);
        buf_append(&url, "", 1);
        if (!key.data || !size.data)
            r = error_set(e, STATUS_AGAIN, "'%s': an item of the listing has no key or size", l->prefix);
        else
            r = url.failed ? error_set(e, STATUS_AGAIN, "out of memory") : l->each(l->ctx, (char *)url.data, &info);
        buf_release(&url);
    }
    return r;
}

/* One page; *token becomes that of the next, or NULL. */
static int page_get(const struct listing *l, const struct s3_name *name, char **token, struct error *e)
{
    struct http_request r;
    struct buf answer;
    char *escaped = *token ? url_escape(*token, "") : NULL, *query;
    if ((*token && !escaped) || asprintf(&query, "%s%s%slist-type=2&max-keys=1000&encoding-type=url&prefix=%s", escaped ? "continuation-token=" : "",
                                         escaped ? escaped : "", escaped ? "&" : "", name->key) < 0) {
        free(escaped);
        return error_set(e, STATUS_AGAIN, "out of memory");
    }
    free(escaped);
    buf_init(&answer, PAGE_MAX);
    int bad = s3_call(l->prefix, "GET", name, query, NULL, &r, &answer, e);
    free(query);
    if (bad == 0) {
        struct span page = span_of(answer.data, answer.size), head = page, more = page;
        bad = r.status == 200 ? page_walk(l, page, e) : s3_refused(l->prefix, &r, e);
        struct span cut = xml_text(&head, "IsTruncated"), next = xml_text(&more, "NextContinuationToken");
        free(*token);
        *token = NULL;
        if (bad == 0 && cut.size == 4 && !memcmp(cut.data, "true", 4) && !(*token = xml_plain(next)))
            bad = error_set(e, STATUS_AGAIN, "out of memory");
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static int s3_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx, struct error *e)
{
    struct s3_name name;
    char *token = NULL;
    const char *slash = strchr(prefix + 5, '/');
    struct listing l = { prefix, slash ? (int)(slash + 1 - prefix) : (int)strlen(prefix), each, ctx };
    if (s3_bucket_read(prefix, &name, e) < 0)
        return -1;
    int bad;
    do
        bad = page_get(&l, &name, &token, e);
    while (bad == 0 && token);
    free(token);
    s3_name_release(&name);
    return bad;
}

const struct store_kind store_s3 = {
    .scheme = "s3", .open = s3_open, .read = remote_read, .close = remote_close, .stat = s3_stat, .list = s3_list, .remove = s3_remove,
    .put = s3_put, .writer_open = s3_writer_open, .writer_append = s3_writer_append, .writer_commit = s3_writer_commit,
    .writer_abort = s3_writer_abort,
};
