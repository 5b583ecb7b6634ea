/* libcommon/store/s3_write.c - writing to s3://: one request, or a multipart upload
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.  Each
 * part carries its SHA-256 in its signature, so that the store checks it; parts
 * are sent again as often as needed, and all appear at once at the end. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/retry.h"
#include "libcommon/store/s3.h"

enum { PART = 16 << 20, PARTS_MAX = 10000, ANSWER_MAX = 1 << 20 };

struct s3_writer {
    struct store_writer base;
    char *url, *upload;         /* upload: its id, percent-encoded; NULL until the first part is full */
    struct s3_name name;
    uint8_t *part;
    size_t filled;
    uint64_t size;
    unsigned parts;
    struct buf list;            /* of the parts, for the end: XML */
};

int s3_put(const char *url, const void *data, size_t n, struct error *e)
{
    struct s3_name name;
    struct http_request r;
    struct buf answer;
    struct span body = span_of(data, n);
    if (s3_name_read(url, &name, true, e) < 0)
        return -1;
    buf_init(&answer, ANSWER_MAX);
    int bad = s3_call(url, "PUT", &name, "", &body, &r, &answer, e);
    if (bad == 0) {
        if (r.status / 100 != 2)
            bad = s3_refused(url, &r, e);
        http_release(&r);
    }
    buf_release(&answer);
    s3_name_release(&name);
    return bad;
}

static int upload_begin(struct s3_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer;
    struct span none = span_of("", 0);
    buf_init(&answer, ANSWER_MAX);
    int bad = s3_call(w->url, "POST", &w->name, "uploads=", &none, &r, &answer, e);
    if (bad == 0) {
        struct span text = span_of(answer.data, answer.size), id = xml_text(&text, "UploadId");
        char *plain = id.data ? xml_plain(id) : NULL;
        if (r.status != 200)
            bad = s3_refused(w->url, &r, e);
        else if (!plain || !(w->upload = url_escape(plain, "")))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store began an upload without naming it", w->url);
        free(plain);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static int part_send(struct s3_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer;
    char *query;
    struct span body = span_of(w->part, w->filled);
    if (!w->upload && upload_begin(w, e) < 0)
        return -1;
    if (++w->parts > PARTS_MAX)
        return error_set(e, STATUS_BAD, "'%s': more than %d parts of %d MiB", w->url, PARTS_MAX, PART >> 20);
    if (asprintf(&query, "partNumber=%u&uploadId=%s", w->parts, w->upload) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory");
    buf_init(&answer, ANSWER_MAX);
    int bad = s3_call(w->url, "PUT", &w->name, query, &body, &r, &answer, e);
    free(query);
    if (bad == 0) {
        struct span etag = http_answer(&r, "ETag");
        if (r.status != 200)
            bad = s3_refused(w->url, &r, e);
        else if (!etag.data)
            bad = error_set(e, STATUS_AGAIN, "'%s': a part was taken without an ETag", w->url);
        else
            buf_printf(&w->list, "<Part><PartNumber>%u</PartNumber><ETag>%.*s</ETag></Part>", w->parts, (int)etag.size, (const char *)etag.data);
        http_release(&r);
    }
    w->filled = 0;
    buf_release(&answer);
    return bad;
}

struct store_writer *s3_writer_open(const char *url, struct error *e)
{
    struct s3_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->url = strdup(url)) || !(w->part = malloc(PART))) {
        error_set(e, STATUS_AGAIN, "out of memory");
    } else if (s3_name_read(url, &w->name, true, e) == 0) {
        w->base.kind = &store_s3;
        buf_init(&w->list, 4 << 20);
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

/* The end of an upload answers 200 also when it failed: the body says so. */
static int upload_end(struct s3_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer, body;
    struct object_info i;
    char *query;
    if (asprintf(&query, "uploadId=%s", w->upload) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory");
    buf_init(&answer, ANSWER_MAX);
    buf_init(&body, 4 << 20);
    buf_printf(&body, "<CompleteMultipartUpload>");
    buf_append(&body, w->list.data, w->list.size);
    buf_printf(&body, "</CompleteMultipartUpload>");
    struct span all = span_of(body.data, body.size);
    int bad = body.failed || w->list.failed ? error_set(e, STATUS_AGAIN, "out of memory")
                                            : s3_call(w->url, "POST", &w->name, query, &all, &r, &answer, e);
    if (bad == 0) {
        struct span text = span_of(answer.data, answer.size), why = xml_text(&text, "Message");
        bool failed = answer.size && memmem(answer.data, answer.size, "<Error>", 7);
        /* gone: was it us, and the answer got lost? */
        if (r.status == 404 && s3_stat(w->url, &i, NULL) == 1 && i.size == w->size)
            bad = 0;
        else if (r.status != 200)
            bad = s3_refused(w->url, &r, e);
        else if (failed)
            bad = error_set(e, STATUS_AGAIN, "'%s': %.*s", w->url, (int)(why.size < 300 ? why.size : 300), why.data ? (const char *)why.data : "");
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
    buf_release(&w->list);
    free(w->url);
    free(w->upload);
    free(w->part);
    free(w);
}

int s3_writer_commit(struct store_writer *base, struct error *e)
{
    struct s3_writer *w = (struct s3_writer *)base;
    int bad;
    if (!w->upload) {
        bad = s3_put(w->url, w->part, w->filled, e);
    } else {
        bad = w->filled ? part_send(w, e) : 0;
        if (bad == 0)
            bad = upload_end(w, e);
    }
    if (bad) {
        s3_writer_abort(base);
        return -1;
    }
    writer_free(w);
    return 0;
}

void s3_writer_abort(struct store_writer *base)
{
    struct s3_writer *w = (struct s3_writer *)base;
    struct http_request r;
    char *query;
    if (w->upload && asprintf(&query, "uploadId=%s", w->upload) >= 0) {
        if (s3_request(&r, "DELETE", &w->name, query, NULL, 0, 0, NULL, NULL) == 0) {
            http_perform((struct http_request *const[]){ &r }, 1);
            http_release(&r);
        }
        free(query);
    }
    writer_free(w);
}
