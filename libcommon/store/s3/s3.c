/* libcommon/store/s3/s3.c - the store s3://: reading, asking, listing; writing is in write.c
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API.  Objects are pinned by ETag. */
#include "libcommon/store/s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/store/http/remote.h"

enum { PAGE_MAX = 64 << 20 };

static int s3_prepare(struct remote *o, struct http_request *r, uint64_t offset, uint64_t n, bool fresh, struct error *e)
{
    (void)fresh;
    struct s3_name name;
    char *match = NULL;
    if (s3_name_read(o->base.url, &name, true, e) < 0)
        return -1;
    int bad = 0;
    if (o->pinned && o->etag && asprintf(&match, "if-match: %s", o->etag) < 0)
        bad = error_memory(e);
    if (!bad)
        bad = s3_request(r, &(struct s3_ask){ "GET", &name, NULL, NULL, offset, n, { match } }, e);
    free(match);
    s3_name_release(&name);
    return bad;
}

/* --- checksums ---------------------------------------------------------------------- */

/* The ETag of what was uploaded at once is its MD5, unless a key of the user's encrypts it. */
static void s3_pin(struct remote *o, const struct http_request *r)
{
    remote_pin_etag(o, r);
    struct span key = http_answer(r, "x-amz-server-side-encryption");
    bool keyed = (key.size >= 7 && !memcmp(key.data, "aws:kms", 7)) ||
                 http_answer(r, "x-amz-server-side-encryption-customer-algorithm").data;
    size_t n = o->etag ? strlen(o->etag) : 0;
    o->unsure = !keyed && n > 2 && checksum_from_hex(&o->want, CHECKSUM_MD5, span_of(o->etag + 1, n - 2));
}

/* Of all of an object, in an answer that is no part of it: a store's answers to ranges
 * hold none, or those of parts. */
static bool sum_read(const struct http_request *r, struct checksum *c)
{
    struct span type = http_answer(r, "x-amz-checksum-type");
    char name[40];
    if (type.size == 9 && !memcmp(type.data, "COMPOSITE", 9))
        return false;           /* a checksum of the checksums of parts */
    for (int kind = CHECKSUM_CRC32C; kind < CHECKSUM_KINDS; kind++) {
        snprintf(name, sizeof name, "x-amz-checksum-%s", checksum_name((enum checksum_kind)kind));
        if (checksum_from_base64(c, (enum checksum_kind)kind, http_answer(r, name)))
            return true;
    }
    return false;
}

static bool sums_wanted(void)
{
    const char *set = getenv("AWS_RESPONSE_CHECKSUM_VALIDATION");
    return !set || strcasecmp(set, "when_required");
}

static int head_call(const char *url, struct http_request *r, struct error *e)
{
    struct s3_name name;
    struct buf answer;
    if (s3_name_read(url, &name, true, e) < 0)
        return -1;
    buf_init(&answer, HTTP_REASON_MAX);
    int bad = s3_call(url, &(struct s3_ask){ .method = "HEAD", .name = &name,
                                             .header = { sums_wanted() ? "x-amz-checksum-mode: ENABLED" : NULL } }, r,
                                             &answer, e);
    buf_release(&answer);
    s3_name_release(&name);
    return bad;
}

static void s3_sum(struct remote *o)
{
    struct http_request r;
    struct checksum c;
    if (!sums_wanted() || head_call(o->base.url, &r, NULL) < 0)
        return;
    if (r.status == 200 && remote_same_etag(o, &r) && sum_read(&r, &c)) {
        o->want = c;
        o->unsure = false;
    }
    http_release(&r);
}

static const struct remote_kind s3_kind = {
    .store = &store_s3, .prepare = s3_prepare, .pin = s3_pin, .same = remote_same_etag, .sum = s3_sum,
};

static struct object *s3_open(const char *url, uint64_t generation, struct error *e)
{
    (void)generation;
    return remote_open(&s3_kind, url, url, 0, e);
}

int s3_stat(const char *url, struct object_info *i, struct error *e)
{
    struct http_request r;
    struct checksum c;
    int found = head_call(url, &r, e);
    if (found < 0)
        return -1;
    *i = (struct object_info){ 0 };
    if (r.status == 200 && http_answer_u64(&r, "Content-Length", &i->size))
        found = 1;
    else if (r.status != 404)
        found = s3_refused(url, &r, e);
    if (found == 1 && sum_read(&r, &c) && c.kind == CHECKSUM_CRC32C) {
        i->has_crc32c = true;
        i->crc32c = checksum_number(&c);
    }
    http_release(&r);
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
    int bad = s3_call(url, &(struct s3_ask){ .method = "DELETE", .name = &name }, &r, &answer, e);
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

void s3_key_decode(struct buf *b, struct span s)
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
        s3_key_decode(&url, key);
        buf_append(&url, "", 1);
        if (!key.data || !size.data)
            r = error_set(e, STATUS_AGAIN, "'%s': an item of the listing has no key or size", l->prefix);
        else
            r = url.failed ? error_memory(e) : l->each(l->ctx, (char *)url.data, &info);
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
    if ((*token && !escaped) || asprintf(&query, "%s%s%slist-type=2&max-keys=1000&encoding-type=url&prefix=%s",
                                         escaped ? "continuation-token=" : "",
                                         escaped ? escaped : "", escaped ? "&" : "", name->key) < 0) {
        free(escaped);
        return error_memory(e);
    }
    free(escaped);
    buf_init(&answer, PAGE_MAX);
    int bad = s3_call(l->prefix, &(struct s3_ask){ .method = "GET", .name = name, .query = query }, &r, &answer, e);
    free(query);
    if (bad == 0) {
        struct span page = span_of(answer.data, answer.size), head = page, more = page;
        bad = r.status == 200 ? page_walk(l, page, e) : s3_refused(l->prefix, &r, e);
        struct span cut = xml_text(&head, "IsTruncated"), next = xml_text(&more, "NextContinuationToken");
        free(*token);
        *token = NULL;
        if (bad == 0 && cut.size == 4 && !memcmp(cut.data, "true", 4) && !(*token = xml_plain(next)))
            bad = error_memory(e);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static int s3_list(const char *prefix, int (*each)(void *ctx, const char *url, const struct object_info *i), void *ctx,
                   struct error *e)
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
    .scheme = "s3", .open = s3_open, .read = remote_read, .close = remote_close, .stat = s3_stat, .list = s3_list,
        .remove = s3_remove,
    .put = s3_put, .uploads_drop = s3_uploads_drop, .writer_open = s3_writer_open, .writer_append = s3_writer_append,
        .writer_commit = s3_writer_commit,
    .writer_abort = s3_writer_abort,
};
