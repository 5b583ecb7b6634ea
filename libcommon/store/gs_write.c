/* libcommon/store/gs_write.c - writing to gs://: one request, or a resumable upload
 *
 * https://cloud.google.com/storage/docs/performing-resumable-uploads.  An object is
 * only replaced if it is still the one that was there at the start (generation
 * match), so that an answer which got lost is told from somebody else's object:
 * by size and checksum.  An upload is copied to a temporary file as it goes,
 * because the server may forget a session at any time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/auth.h"
#include "libcommon/store/google.h"
#include "libcommon/store/retry.h"
#include "libcommon/store/temporary.h"
#include "libcommon/stream/crc32c.h"
#include "libcommon/sys/file.h"

enum { CHUNK = 8 << 20, GRAIN = 256 << 10, ANSWER_MAX = 64 << 10 };

struct gs_writer {
    struct store_writer base;
    char *url, *start_url;      /* where an upload begins */
    char *session;              /* its address: whoever knows it may write; never logged */
    int spool;
    uint64_t size;              /* appended so far */
    uint64_t persisted;         /* at the server */
    uint32_t crc;
    uint8_t *chunk;
    bool done;
    struct object_info made;
};

/* Where uploads of `url` are sent, replacing only the version that is there now. */
static char *upload_url(const char *url, const char *type, struct error *e)
{
    struct object_info now = { 0 };
    struct gs_name name;
    char *endpoint = NULL, *project = NULL, *request = NULL;
    if (store_gs.stat(url, &now, e) < 0 || gs_name_read(url, &name, true, e) < 0)
        return NULL;
    endpoint = gs_endpoint();
    project = gs_user_project();
    if (!endpoint || !project ||
        asprintf(&request, "%s/upload/storage/v1/b/%s/o?uploadType=%s&name=%s&ifGenerationMatch=%llu%s", endpoint, name.bucket_escaped, type,
                 name.object_escaped, (unsigned long long)now.generation, project) < 0) {
        request = NULL;
        error_set(e, STATUS_AGAIN, "out of memory");
    }
    free(endpoint);
    free(project);
    gs_name_release(&name);
    return request;
}

static int made_check(const char *url, const struct object_info *made, uint64_t size, uint32_t crc, struct error *e)
{
    if (made->size != size || (made->has_crc32c && made->crc32c != crc))
        return error_set(e, STATUS_AGAIN, "'%s': the store kept %llu bytes, crc32c %08x; sent were %llu, %08x", url, (unsigned long long)made->size,
                         made->crc32c, (unsigned long long)size, crc);
    return 0;
}

/* The precondition failed.  Was it our own success, whose answer got lost? */
static int already_there(const char *url, uint64_t size, uint32_t crc, struct error *e)
{
    struct object_info i;
    int found = store_gs.stat(url, &i, e);
    if (found < 0)
        return -1;
    if (found == 1 && i.size == size && i.has_crc32c && i.crc32c == crc)
        return 0;
    return error_set(e, STATUS_BAD, "'%s' was changed by somebody else meanwhile", url);
}

static bool resource_from(const struct buf *answer, struct object_info *i)
{
    json_error_t why;
    json_t *j = json_loadb((const char *)answer->data, answer->size, 0, &why);
    bool good = gs_resource_read(j, i);
    json_decref(j);
    return good;
}

int gs_put(const char *url, const void *data, size_t n, struct error *e)
{
    char *request = upload_url(url, "media", e);
    struct http_request r;
    struct buf answer;
    struct span body = span_of(data, n);
    uint32_t crc = crc32c(0, data, n);
    buf_init(&answer, ANSWER_MAX);
    int bad = request ? gs_call(url, "POST", request, &body, "Content-Type: application/octet-stream", &r, &answer, e) : -1;
    if (!bad) {
        struct object_info made;
        if (r.status == 412)
            bad = already_there(url, n, crc, e);
        else if (r.status / 100 != 2)
            bad = gs_refused(url, &r, e);
        else if (!resource_from(&answer, &made))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store's answer is no resource", url);
        else
            bad = made_check(url, &made, n, crc, e);
        http_release(&r);
    }
    buf_release(&answer);
    free(request);
    return bad;
}

/* --- a resumable upload ------------------------------------------------------------------ */

static int session_begin(struct gs_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer;
    struct span body = span_of("{}", 2);
    buf_init(&answer, ANSWER_MAX);
    free(w->session);
    w->session = NULL;
    w->persisted = 0;
    int bad = gs_call(w->url, "POST", w->start_url, &body, "Content-Type: application/json", &r, &answer, e);
    if (!bad) {
        struct span location = http_answer(&r, "Location");
        if (r.status / 100 != 2)
            bad = gs_refused(w->url, &r, e);
        else if (!location.data || !(w->session = strndup((const char *)location.data, location.size)))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store began an upload without saying where", w->url);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

/* How much of the upload the server has, from a 308: none without a Range. */
static uint64_t persisted_read(const struct http_request *r)
{
    struct span range = http_answer(r, "Range");
    const char *dash = range.data ? memchr(range.data, '-', range.size) : NULL;
    char number[32] = "";
    if (!dash)
        return 0;
    size_t n = range.size - (size_t)(dash + 1 - (const char *)range.data);
    memcpy(number, dash + 1, n < sizeof number - 1 ? n : sizeof number - 1);
    return strtoull(number, NULL, 10) + 1;
}

/* One PUT of n bytes at `persisted`; n 0 asks how far the server is.  total: text after the slash. */
static int chunk_put(struct gs_writer *w, size_t n, const char *total, bool fresh, struct http_request *r, struct buf *answer, struct error *e)
{
    if (http_init(r, "PUT", w->session, e) < 0)
        return -1;
    if (auth_google(r, fresh, e) < 0) {
        http_release(r);
        return -1;
    }
    if (n)
        http_header(r, "Content-Range: bytes %llu-%llu/%s", (unsigned long long)w->persisted, (unsigned long long)(w->persisted + n - 1), total);
    else
        http_header(r, "Content-Range: bytes */%s", total);
    http_header(r, "Content-Type: application/octet-stream");
    r->has_body = true;
    r->body = span_of(w->chunk, n);
    r->into = answer;
    http_perform((struct http_request *const[]){ r }, 1);
    return 0;
}

static int chunk_load(struct gs_writer *w, size_t n, struct error *e)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = pread(w->spool, w->chunk + got, n - got, (off_t)(w->persisted + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return error_set(e, STATUS_AGAIN, "cannot read a temporary file: %s", k ? strerror(errno) : "it is too short");
        got += (size_t)k;
    }
    return 0;
}

/* What an answer to a chunk changes.  1: ask how far the server is before going on; 0; -1. */
static int chunk_judge(struct gs_writer *w, const struct http_request *r, const struct buf *answer, uint64_t limit, struct retry *t, bool *fresh,
                       struct error *e)
{
    if (r->code == CURLE_OK && r->status == 308) {
        uint64_t had = w->persisted;
        w->persisted = persisted_read(r);
        if (w->persisted > limit)
            return error_set(e, STATUS_AGAIN, "'%s': the store says that it has more bytes than were sent", w->url);
        if (w->persisted > had)
            retry_progress(t);
        return w->persisted > had ? 0 : retry_because(t, "the store kept nothing of it", w->persisted, e);
    }
    if (r->code == CURLE_OK && r->status / 100 == 2) {
        if (!resource_from(answer, &w->made))
            return error_set(e, STATUS_AGAIN, "'%s': the store's answer is no resource", w->url);
        w->done = true;
        return 0;
    }
    if (r->code == CURLE_OK && (r->status == 404 || r->status == 410)) {
        if (retry_because(t, "the store forgot the upload; from the begin", w->persisted, e) < 0)
            return -1;
        return session_begin(w, e);
    }
    if (r->code == CURLE_OK && r->status == 412) {
        w->made = (struct object_info){ .size = w->size, .has_crc32c = true, .crc32c = w->crc };
        w->done = true;
        return already_there(w->url, w->size, w->crc, e);
    }
    if (r->code == CURLE_OK && r->status == 401 && !*fresh) {
        *fresh = true;
        return 0;
    }
    return retry_after(t, r, w->persisted, e) < 0 ? -1 : 1;
}

/* Sends until fewer than CHUNK bytes are left; all of them if `final`. */
static int upload(struct gs_writer *w, bool final, struct error *e)
{
    struct retry t;
    struct buf answer;
    char total[32] = "*";
    bool fresh = false;
    int ask = 0;
    if (final)
        snprintf(total, sizeof total, "%llu", (unsigned long long)w->size);
    buf_init(&answer, ANSWER_MAX);
    retry_begin(&t, w->url);
    while (ask >= 0 && !w->done && (final || w->size - w->persisted >= CHUNK)) {
        struct http_request r;
        uint64_t left = w->size - w->persisted;
        size_t n = ask ? 0 : left < CHUNK ? (size_t)left : CHUNK;
        bool last = final && w->persisted + n == w->size;
        if (!last)
            n -= n % GRAIN;
        buf_clear(&answer);
        if (chunk_load(w, n, e) < 0 || chunk_put(w, n, ask || last ? total : "*", fresh, &r, &answer, e) < 0) {
            ask = -1;
            break;
        }
        ask = chunk_judge(w, &r, &answer, w->persisted + n > w->size || ask ? w->size : w->persisted + n, &t, &fresh, e);
        http_release(&r);
    }
    buf_release(&answer);
    return ask < 0 ? -1 : 0;
}

static void writer_free(struct gs_writer *w)
{
    if (w->spool >= 0)
        close(w->spool);
    free(w->url);
    free(w->start_url);
    free(w->session);
    free(w->chunk);
    free(w);
}

struct store_writer *gs_writer_open(const char *url, struct error *e)
{
    struct gs_writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    w->base.kind = &store_gs;
    w->spool = -1;
    if (!(w->url = strdup(url)) || !(w->chunk = malloc(CHUNK)))
        error_set(e, STATUS_AGAIN, "out of memory");
    else if ((w->spool = temporary_file(e)) >= 0 && (w->start_url = upload_url(url, "resumable", e)) && session_begin(w, e) == 0)
        return &w->base;
    writer_free(w);
    return NULL;
}

int gs_writer_append(struct store_writer *base, const void *data, size_t n, struct error *e)
{
    struct gs_writer *w = (struct gs_writer *)base;
    if (file_write_all(w->spool, data, n) < 0)
        return error_set(e, STATUS_AGAIN, "cannot keep an upload in a temporary file (TMPDIR chooses its place): %s", strerror(errno));
    w->crc = crc32c(w->crc, data, n);
    w->size += n;
    return upload(w, false, e);
}

int gs_writer_commit(struct store_writer *base, struct error *e)
{
    struct gs_writer *w = (struct gs_writer *)base;
    int bad = upload(w, true, e);
    if (!bad && (bad = made_check(w->url, &w->made, w->size, w->crc, e)) < 0)
        gs_remove(w->url, NULL);
    writer_free(w);
    return bad;
}

void gs_writer_abort(struct store_writer *base)
{
    struct gs_writer *w = (struct gs_writer *)base;
    struct http_request r;
    if (!w->done && w->session && http_init(&r, "DELETE", w->session, NULL) == 0) {
        if (auth_google(&r, false, NULL) == 0)
            http_perform((struct http_request *const[]){ &r }, 1);
        http_release(&r);
    }
    writer_free(w);
}
