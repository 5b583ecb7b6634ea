/* libcommon/store/s3/uploads.c - see uploads.h
 *
 * The store itself remembers an upload that was not finished (ListMultipartUploads)
 * and what it has of it (ListParts), so that whoever goes on with it needs no notes
 * of its own, and may be on another machine.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html */
#include "libcommon/store/s3/uploads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/sys/log.h"

enum { PAGE_MAX = 4 << 20, ROUNDS_MAX = 100 };

static bool span_is(struct span s, const char *text)
{
    return s.size == strlen(text) && !memcmp(s.data, text, s.size);
}

/* Text of an XML element, percent-encoded for a query. */
static char *escaped(struct span text)
{
    char *plain = text.data ? xml_plain(text) : NULL, *out = plain ? url_escape(plain, "") : NULL;
    free(plain);
    return out;
}

static void id_drop(const char *url, const struct s3_name *name, const char *id)
{
    struct http_request r;
    struct buf answer;
    char *query;
    if (asprintf(&query, "uploadId=%s", id) < 0)
        return;
    buf_init(&answer, HTTP_REASON_MAX);
    if (s3_call(url, &(struct s3_ask){ .method = "DELETE", .name = name, .query = query }, &r, &answer, NULL) == 0)
        http_release(&r);
    buf_release(&answer);
    free(query);
}

void s3_upload_drop(const struct s3_upload *u, const struct s3_name *name)
{
    if (u->id)
        id_drop("an upload", name, u->id);
}

void s3_upload_release(struct s3_upload *u)
{
    free(u->id);
    free(u->part);
    *u = (struct s3_upload){ 0 };
}

/* --- which there are ---------------------------------------------------------------- */

/* Of an unfinished upload: url is that of its object.  Nonzero ends the walk. */
typedef int each_upload(void *ctx, const char *url, const char *id, struct span began);

/* The first page of them under a prefix; *more: there are further ones.  A store that does not list them has none. */
static int uploads_list(const char *prefix, each_upload *each, void *ctx, bool *more, struct error *e)
{
    struct s3_name name;
    struct http_request r;
    struct buf answer;
    char *query;
    *more = false;
    if (s3_bucket_read(prefix, &name, e) < 0)
        return -1;
    buf_init(&answer, PAGE_MAX);
    int bad = 0;
    if (asprintf(&query, "uploads=&encoding-type=url&prefix=%s", name.key) < 0)
        bad = error_memory(e);
    if (!bad && (bad = s3_call(prefix, &(struct s3_ask){ .method = "GET", .name = &name, .query = query }, &r, &answer,
                               e)) == 0) {
        struct span page = span_of(answer.data, answer.size), whole = page, item;
        const char *slash = strchr(prefix + 5, '/');
        if (r.status != 200)
            debug("'%s': its unfinished uploads are not listed: HTTP %ld", prefix, r.status);
        while (!bad && r.status == 200 && (item = xml_text(&page, "Upload")).data) {
            struct span a = item, b = item, c = item;
            struct buf url;
            buf_init(&url, 1 << 16);
            buf_append(&url, prefix, slash ? (size_t)(slash - prefix) : strlen(prefix));
            buf_append(&url, "/", 1);
            s3_key_decode(&url, xml_text(&a, "Key"));
            buf_append(&url, "", 1);
            char *id = escaped(xml_text(&b, "UploadId"));
            if (id && !url.failed)
                bad = each(ctx, (char *)url.data, id, xml_text(&c, "Initiated"));
            free(id);
            buf_release(&url);
        }
        *more = r.status == 200 && span_is(xml_text(&whole, "IsTruncated"), "true");
        http_release(&r);
    }
    free(query);
    buf_release(&answer);
    s3_name_release(&name);
    return bad;
}

struct newest { const char *url; const struct s3_name *name; char *id; char began[40]; };

/* Of one name the newest stays, the others go. */
static int newest_seen(void *ctx, const char *url, const char *id, struct span began)
{
    struct newest *n = ctx;
    char when[40];
    if (strcmp(url, n->url))
        return 0;
    snprintf(when, sizeof when, "%.*s", began.data ? (int)(began.size < 39 ? began.size : 39) : 0, (const char *)began.data);
    if (n->id && strcmp(when, n->began) < 0) {
        id_drop(url, n->name, id);
        return 0;
    }
    if (n->id)
        id_drop(url, n->name, n->id);
    free(n->id);
    n->id = strdup(id);
    snprintf(n->began, sizeof n->began, "%s", when);
    return 0;
}

static int drop_one(void *ctx, const char *url, const char *id, struct span began)
{
    struct s3_name name;
    (void)ctx, (void)began;
    if (s3_name_read(url, &name, true, NULL) == 0) {
        id_drop(url, &name, id);
        s3_name_release(&name);
    }
    return 0;
}

int s3_uploads_drop(const char *prefix, struct error *e)
{
    bool more = true;
    int bad = 0;
    for (int i = 0; !bad && more && i < ROUNDS_MAX; i++)
        bad = uploads_list(prefix, drop_one, NULL, &more, e);
    return bad;
}

/* --- what an upload has ----------------------------------------------------------------- */

static void part_read(struct s3_upload *u, struct span item)
{
    struct span a = item, b = item, c = item, d = item;
    struct span number = xml_text(&a, "PartNumber"), size = xml_text(&b, "Size"), sum = xml_text(&d, "ChecksumCRC32C");
    unsigned long n = number.data ? strtoul((const char *)number.data, NULL, 10) : 0;
    struct span quoted = xml_text(&c, "ETag");
    char *etag = quoted.data ? xml_plain(quoted) : NULL;
    if (n && n <= S3_PARTS_MAX && etag && strlen(etag) < sizeof u->part->etag && size.data) {
        struct s3_part *p = &u->part[n - 1];
        snprintf(p->etag, sizeof p->etag, "%s", etag);
        snprintf(p->crc32c, sizeof p->crc32c, "%.*s", sum.data ? (int)(sum.size < 15 ? sum.size : 15) : 0,
                 (const char *)sum.data);
        p->size = strtoull((const char *)size.data, NULL, 10);
        u->found++;
    }
    free(etag);
}

/* 1: all parts are known; 0: the upload cannot be gone on with; -1. */
static int parts_list(struct s3_upload *u, const char *url, const struct s3_name *name, struct error *e)
{
    unsigned long marker = 0;
    int good = 1;
    for (bool more = true; good > 0 && more;) {
        struct http_request r;
        struct buf answer;
        char *query;
        more = false;
        if (asprintf(&query, "max-parts=1000&part-number-marker=%lu&uploadId=%s", marker, u->id) < 0)
            return error_memory(e);
        buf_init(&answer, PAGE_MAX);
        good = s3_call(url, &(struct s3_ask){ .method = "GET", .name = name, .query = query }, &r, &answer, e);
        if (good == 0) {
            struct span page = span_of(answer.data, answer.size), a = page, b = page, c = page, d = page, item;
            struct span next = xml_text(&b, "NextPartNumberMarker"), algorithm = xml_text(&c, "ChecksumAlgorithm");
            u->summed = span_is(algorithm, "CRC32C");
            u->full = u->summed && span_is(xml_text(&d, "ChecksumType"), "FULL_OBJECT");
            good = r.status == 200 && (u->summed || !algorithm.data);
            while (good && (item = xml_text(&page, "Part")).data)
                part_read(u, item);
            unsigned long at = next.data ? strtoul((const char *)next.data, NULL, 10) : 0;
            more = good && at > marker && span_is(xml_text(&a, "IsTruncated"), "true");
            marker = at;
            http_release(&r);
        }
        buf_release(&answer);
        free(query);
    }
    return good;
}

static int upload_find(struct s3_upload *u, const char *url, const struct s3_name *name, struct error *e)
{
    struct newest n = { .url = url, .name = name };
    bool more;
    int found = uploads_list(url, newest_seen, &n, &more, e);
    if (found < 0 || !n.id) {
        free(n.id);
        return found;
    }
    u->id = n.id;
    found = parts_list(u, url, name, e);
    if (found == 1) {
        note("'%s': going on with an upload that has %u parts", url, u->found);
        return 1;
    }
    if (found == 0)
        s3_upload_drop(u, name);
    memset(u->part, 0, S3_PARTS_MAX * sizeof *u->part);
    free(u->id);
    u->id = NULL;
    u->found = 0;
    return found;
}

int s3_upload_begin(struct s3_upload *u, const char *url, const struct s3_name *name, struct error *e)
{
    struct http_request r;
    struct buf answer;
    struct span none = span_of("", 0);
    char unused[S3_SUM_HEADER];
    const char *sums;
    if (!(u->part = calloc(S3_PARTS_MAX, sizeof *u->part)))
        return error_memory(e);
    int found = upload_find(u, url, name, e);
    if (found)
        return found < 0 ? -1 : 0;
    s3_sum_header(0, unused, &sums);
    buf_init(&answer, HTTP_REASON_MAX);
    int bad = s3_call(url, &(struct s3_ask){ .method = "POST", .name = name, .query = "uploads=", .body = &none,
                                             .header = { sums ? "x-amz-checksum-algorithm: CRC32C" : NULL,
                                                         "x-amz-checksum-type: FULL_OBJECT" } },
                      &r, &answer, e);
    if (bad == 0) {
        struct span text = span_of(answer.data, answer.size);
        u->summed = sums && span_is(http_answer(&r, "x-amz-checksum-algorithm"), "CRC32C");
        u->full = u->summed && span_is(http_answer(&r, "x-amz-checksum-type"), "FULL_OBJECT");
        if (r.status != 200)
            bad = s3_refused(url, &r, e);
        else if (!(u->id = escaped(xml_text(&text, "UploadId"))))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store began an upload without naming it", url);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}
