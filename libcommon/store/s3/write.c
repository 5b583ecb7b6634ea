/* libcommon/store/s3/write.c - writing to s3://: one request, or an upload in parts
 *
 * Each part carries its SHA-256 in its signature and its crc32c in a header, so that
 * the store checks it and keeps the checksum; parts are sent again as often as
 * needed, and all appear at once at the end.  What an earlier writer sent of the same
 * bytes is not sent again (uploads.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/checksum.h"
#include "libcommon/store/s3/uploads.h"
#include "libcommon/sys/crc32c.h"

enum { PART = 16 << 20, ANSWER_MAX = 1 << 20 };

struct s3_writer {
    struct store_writer base;
    char *url;
    struct s3_name name;
    struct s3_upload upload;    /* begun when the first part is full */
    uint8_t *part;
    size_t filled;
    uint64_t size;
    uint32_t crc;
    unsigned parts;
    bool useless;               /* nobody can go on with the upload */
};

int s3_put(const char *url, const void *data, size_t n, struct error *e)
{
    struct s3_name name;
    struct http_request r;
    struct buf answer;
    struct span body = span_of(data, n);
    char text[S3_SUM_HEADER];
    const char *sum;
    if (s3_name_read(url, &name, true, e) < 0)
        return -1;
    s3_sum_header(crc32c(0, data, n), text, &sum);
    buf_init(&answer, ANSWER_MAX);
    int bad = s3_call(url, &(struct s3_ask){ .method = "PUT", .name = &name, .body = &body, .header = { sum } }, &r,
                      &answer, e);
    if (bad == 0) {
        if (r.status / 100 != 2)
            bad = s3_refused(url, &r, e);
        http_release(&r);
    }
    buf_release(&answer);
    s3_name_release(&name);
    return bad;
}

/* --- parts ------------------------------------------------------------------------------ */

/* Does the store have this part already, in the same bytes? */
static bool part_there(const struct s3_writer *w, const struct s3_part *p, const char *sum)
{
    struct checksum md5, own;
    size_t n = strlen(p->etag);
    if (!n || p->size != w->filled)
        return false;
    if (*p->crc32c)
        return sum && !strcmp(strchr(sum, ':') + 2, p->crc32c);
    if (n < 2 || !checksum_from_hex(&md5, CHECKSUM_MD5, span_of(p->etag + 1, n - 2)))
        return false;
    own = checksum_of(CHECKSUM_MD5, w->part, w->filled);
    return checksum_same(&md5, &own);
}

static int part_put(struct s3_writer *w, struct s3_part *p, const char *sum, struct error *e)
{
    struct http_request r;
    struct buf answer;
    char *query;
    struct span body = span_of(w->part, w->filled);
    if (asprintf(&query, "partNumber=%u&uploadId=%s", w->parts, w->upload.id) < 0)
        return error_memory(e);
    buf_init(&answer, ANSWER_MAX);
    int bad = s3_call(w->url, &(struct s3_ask){ .method = "PUT", .name = &w->name, .query = query, .body = &body,
                                                .header = { w->upload.summed ? sum : NULL } },
                      &r, &answer, e);
    free(query);
    if (bad == 0) {
        struct span etag = http_answer(&r, "ETag");
        if (r.status == 404)
            bad = error_set(e, STATUS_AGAIN, "'%s': the store forgot the upload", w->url);
        else if (r.status != 200)
            bad = s3_refused(w->url, &r, e);
        else if (!etag.data || etag.size >= sizeof p->etag)
            bad = error_set(e, STATUS_AGAIN, "'%s': a part was taken without an ETag", w->url);
        else
            snprintf(p->etag, sizeof p->etag, "%.*s", (int)etag.size, (const char *)etag.data);
        snprintf(p->crc32c, sizeof p->crc32c, "%s", w->upload.summed && sum ? strchr(sum, ':') + 2 : "");
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static int part_send(struct s3_writer *w, struct error *e)
{
    char text[S3_SUM_HEADER];
    const char *sum;
    if (!w->upload.id && s3_upload_begin(&w->upload, w->url, &w->name, e) < 0)
        return -1;
    if (w->parts == S3_PARTS_MAX)
        return error_set(e, STATUS_BAD, "'%s': more than %d parts of %d MiB", w->url, S3_PARTS_MAX, PART >> 20);
    uint32_t crc = crc32c(0, w->part, w->filled);
    struct s3_part *p = &w->upload.part[w->parts++];
    s3_sum_header(crc, text, &sum);
    if (!part_there(w, p, sum) && part_put(w, p, sum, e) < 0)
        return -1;
    w->crc = crc32c_combine(w->crc, crc, w->filled);
    w->filled = 0;
    return 0;
}

struct store_writer *s3_writer_open(const char *url, struct error *e)
{
    struct s3_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->url = strdup(url)) || !(w->part = malloc(PART))) {
        error_memory(e);
    } else if (s3_name_read(url, &w->name, true, e) == 0) {
        w->base.kind = &store_s3;
        return &w->base;
    }
    if (w) {
        free(w->url);
        free(w->part);
    }
    free(w);
    return NULL;
}

int s3_writer_append(struct store_writer *base, const void *data, size_t n, struct error *e)
{
    struct s3_writer *w = (struct s3_writer *)base;
    const uint8_t *p = data;
    w->size += n;
    while (n) {
        if (w->filled == PART && part_send(w, e) < 0)
            return -1;
        size_t k = PART - w->filled < n ? PART - w->filled : n;
        memcpy(w->part + w->filled, p, k);
        w->filled += k;
        p += k;
        n -= k;
    }
    return 0;
}

/* --- the end ------------------------------------------------------------------------------ */

/* The upload is gone: was it us, and the answer got lost? */
static bool already_there(const struct s3_writer *w)
{
    struct object_info i;
    return s3_stat(w->url, &i, NULL) == 1 && i.size == w->size && (!i.has_crc32c || i.crc32c == w->crc);
}

static void parts_name(const struct s3_writer *w, struct buf *body)
{
    buf_printf(body, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < w->parts; i++) {
        const struct s3_part *p = &w->upload.part[i];
        buf_printf(body, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag>", i + 1, p->etag);
        if (*p->crc32c)
            buf_printf(body, "<ChecksumCRC32C>%s</ChecksumCRC32C>", p->crc32c);
        buf_printf(body, "</Part>");
    }
    buf_printf(body, "</CompleteMultipartUpload>");
}

/* An upload's end answers 200 also when it failed: the body says so. */
static int upload_end(struct s3_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer, body;
    char *query, text[S3_SUM_HEADER];
    const char *sum;
    if (asprintf(&query, "uploadId=%s", w->upload.id) < 0)
        return error_memory(e);
    buf_init(&answer, ANSWER_MAX);
    buf_init(&body, 4 << 20);
    parts_name(w, &body);
    s3_sum_header(w->crc, text, &sum);
    struct span all = span_of(body.data, body.size);
    struct s3_ask ask = { .method = "POST", .name = &w->name, .query = query, .body = &all,
                          .header = { w->upload.full ? sum : NULL, "x-amz-checksum-type: FULL_OBJECT" } };
    int bad = body.failed ? error_memory(e) : s3_call(w->url, &ask, &r, &answer, e);
    if (bad == 0) {
        struct span page = span_of(answer.data, answer.size), why = xml_text(&page, "Message");
        bool failed = answer.size && memmem(answer.data, answer.size, "<Error>", 7);
        if (r.status == 404 && already_there(w))
            bad = 0;
        else if (r.status != 200)
            bad = s3_refused(w->url, &r, e);
        else if (failed)
            bad = error_set(e, STATUS_AGAIN, "'%s': %.*s", w->url, (int)(why.size < 300 ? why.size : 300),
                            why.data ? (const char *)why.data : "");
        w->useless = bad && r.status / 100 == 4;
        http_release(&r);
    }
    free(query);
    buf_release(&answer);
    buf_release(&body);
    return bad;
}

static void writer_free(struct s3_writer *w)
{
    s3_name_release(&w->name);
    s3_upload_release(&w->upload);
    free(w->url);
    free(w->part);
    free(w);
}

int s3_writer_commit(struct store_writer *base, struct error *e)
{
    struct s3_writer *w = (struct s3_writer *)base;
    int bad;
    if (!w->upload.id) {
        bad = s3_put(w->url, w->part, w->filled, e);
    } else {
        bad = w->filled ? part_send(w, e) : 0;
        if (bad == 0)
            bad = upload_end(w, e);
    }
    s3_writer_abort(base);
    return bad;
}

/* The parts stay for the next writer of that name. */
void s3_writer_abort(struct store_writer *base)
{
    struct s3_writer *w = (struct s3_writer *)base;
    if (w->useless && w->upload.id)
        s3_upload_drop(&w->upload, &w->name);
    writer_free(w);
}
