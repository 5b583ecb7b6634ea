/* libcommon/store/gs/upload.c - writing a large object to gs://: a resumable upload
 *
 * https://cloud.google.com/storage/docs/performing-resumable-uploads.  What is
 * appended is copied to a temporary file as it goes, because the server may forget a
 * session at any time.  A session that an earlier, killed writer began is gone on
 * with (note.h): the server says how much it has, and that much is not sent again.
 * Its bytes are compared by their checksums as the same ones come by once more; if
 * they differ, all is sent anew. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/gs/auth.h"
#include "libcommon/store/gs/google.h"
#include "libcommon/store/gs/note.h"
#include "libcommon/store/http/retry.h"
#include "libcommon/sys/crc32c.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/temporary.h"

enum { CHUNK = 8 << 20, GRAIN = 256 << 10 };

struct gs_writer {
    struct store_writer base;
    char *url, *start_url;      /* where an upload begins */
    char *session;              /* its address: whoever knows it may write; never logged */
    struct gs_note note;
    size_t compared;            /* sums of the note that were */
    bool resumed;               /* some of it an earlier writer sent */
    int spool;
    uint64_t size;              /* appended so far */
    uint64_t persisted;         /* at the server; of a resumed one perhaps more than `size` */
    uint32_t crc;
    uint8_t *chunk;
    bool done;
    struct object_info made;
};

/* --- sessions ------------------------------------------------------------------------- */

static int session_begin(struct gs_writer *w, struct error *e)
{
    struct http_request r;
    struct buf answer;
    struct span body = span_of("{}", 2);
    buf_init(&answer, GS_ANSWER_MAX);
    free(w->session);
    w->session = NULL;
    w->persisted = 0;
    w->resumed = w->done = false;
    int bad = gs_call(w->url, "POST", w->start_url, &body, "Content-Type: application/json", &r, &answer, e);
    if (!bad) {
        struct span location = http_answer(&r, "Location");
        if (r.status / 100 != 2)
            bad = gs_refused(w->url, &r, e);
        else if (!location.data || !(w->session = strndup((const char *)location.data, location.size)))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store began an upload without saying where", w->url);
        else
            gs_note_begin(&w->note, w->session);
        http_release(&r);
    }
    buf_release(&answer);
    return bad;
}

static void session_cancel(struct gs_writer *w)
{
    struct http_request r;
    if (!w->session || http_init(&r, "DELETE", w->session, NULL) < 0)
        return;
    if (auth_google(&r, false, NULL) == 0)
        http_perform((struct http_request *const[]){ &r }, 1);
    http_release(&r);
}

/* What an earlier writer sent is of no use: all of it from the temporary file. */
static int begin_anew(struct gs_writer *w, const char *why, struct error *e)
{
    note("'%s': %s; from the begin", w->url, why);
    if (!w->done)
        session_cancel(w);
    free(w->start_url);
    w->start_url = gs_upload_url(w->url, "resumable", e);
    return w->start_url ? session_begin(w, e) : -1;
}

/* --- chunks ----------------------------------------------------------------------------- */

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
static int chunk_put(struct gs_writer *w, size_t n, const char *total, bool fresh, struct http_request *r,
                     struct buf *answer, struct error *e)
{
    if (http_init(r, "PUT", w->session, e) < 0)
        return -1;
    if (auth_google(r, fresh, e) < 0) {
        http_release(r);
        return -1;
    }
    if (n)
        http_header(r, "Content-Range: bytes %llu-%llu/%s", (unsigned long long)w->persisted,
                    (unsigned long long)(w->persisted + n - 1), total);
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
static int chunk_judge(struct gs_writer *w, const struct http_request *r, const struct buf *answer, uint64_t limit,
                       struct retry *t, bool *fresh, struct error *e)
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
        if (!gs_resource_from(answer, &w->made))
            return error_set(e, STATUS_AGAIN, "'%s': the store's answer is no resource", w->url);
        w->done = true;
        return 0;
    }
    if (r->code == CURLE_OK && (r->status == 404 || r->status == 410)) {
        if (retry_because(t, "the store forgot the upload; from the begin", w->persisted, e) < 0)
            return -1;
        return session_begin(w, e);
    }
    if (r->code == CURLE_OK && r->status == 412 && w->resumed)
        return begin_anew(w, "the object was replaced since the upload began", e);
    if (r->code == CURLE_OK && r->status == 412) {
        w->made = (struct object_info){ .size = w->size, .has_crc32c = true, .crc32c = w->crc };
        w->done = true;
        return gs_already_there(w->url, w->size, w->crc, e);
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
    buf_init(&answer, GS_ANSWER_MAX);
    retry_begin(&t, w->url);
    while (ask >= 0 && !w->done && (final || (w->size >= w->persisted && w->size - w->persisted >= CHUNK))) {
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

/* --- an upload of an earlier writer ---------------------------------------------------------- */

/* How far it is.  1: it can be gone on with; 0: it is gone; -1. */
static int session_ask(struct gs_writer *w, struct error *e)
{
    struct retry t;
    struct buf answer;
    bool fresh = false, refreshed = false;
    int found = -1;
    buf_init(&answer, GS_ANSWER_MAX);
    retry_begin(&t, w->url);
    for (bool again = true; again;) {
        struct http_request r;
        buf_clear(&answer);
        if (chunk_put(w, 0, "*", fresh, &r, &answer, e) < 0)
            break;
        again = false;
        if (r.code == CURLE_OK && r.status == 308) {
            w->persisted = persisted_read(&r);
            found = w->persisted > 0;
        } else if (r.code == CURLE_OK && r.status / 100 == 2) {     /* finished: is it still there? */
            struct object_info now;
            w->done = gs_resource_from(&answer, &w->made) && store_gs.stat(w->url, &now, NULL) == 1 &&
                      now.generation == w->made.generation;
            found = w->done;
        } else if (r.code == CURLE_OK && r.status == 401 && !refreshed) {
            fresh = refreshed = again = true;
        } else if (r.code == CURLE_OK && !http_passing(&r)) {
            found = 0;          /* 404, 410: forgotten; others: whatever it is, a new one will tell */
        } else {
            again = retry_after(&t, &r, 0, e) == 0;
        }
        http_release(&r);
    }
    buf_release(&answer);
    return found;
}

static int session_find(struct gs_writer *w, struct error *e)
{
    size_t host;
    gs_note_open(&w->note, w->url);
    /* of another server it would be of no use, and credentials are not for there */
    host = strcspn(w->start_url + strcspn(w->start_url, ":") + 3, "/") + strcspn(w->start_url, ":") + 4;
    if (!w->note.session || strncmp(w->note.session, w->start_url, host) || !(w->session = strdup(w->note.session)))
        return session_begin(w, e);
    int found = session_ask(w, e);
    if (found <= 0)
        return found < 0 ? -1 : session_begin(w, e);
    w->resumed = true;
    note("'%s': going on with an upload that has %llu bytes", w->url,
         (unsigned long long)(w->done ? w->made.size : w->persisted));
    return 0;
}

/* At an offset that may be in the note: are the bytes so far those that were sent? */
static int prefix_compare(struct gs_writer *w, struct error *e)
{
    const struct gs_note *t = &w->note;
    while (w->compared < t->n && t->sum[w->compared].offset < w->size)
        w->compared++;
    if (w->compared == t->n || t->sum[w->compared].offset != w->size) {
        gs_note_add(&w->note, w->size, w->crc);
        return 0;
    }
    bool same = t->sum[w->compared++].crc == w->crc;
    if (same || !w->resumed || w->size > (w->done ? w->made.size : w->persisted))
        return 0;
    if (begin_anew(w, "an earlier upload sent other bytes", e) < 0)
        return -1;
    gs_note_add(&w->note, w->size, w->crc);
    return 0;
}

/* --- the writer -------------------------------------------------------------------------- */

static void writer_free(struct gs_writer *w, bool keep)
{
    gs_note_close(&w->note, keep);
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
        error_memory(e);
        return NULL;
    }
    w->base.kind = &store_gs;
    w->spool = w->note.fd = -1;
    if (!(w->url = strdup(url)) || !(w->chunk = malloc(CHUNK)))
        error_memory(e);
    else if ((w->spool = temporary_file(e)) >= 0 && (w->start_url = gs_upload_url(url, "resumable", e)) &&
             session_find(w, e) == 0)
        return &w->base;
    writer_free(w, true);
    return NULL;
}

int gs_writer_append(struct store_writer *base, const void *data, size_t n, struct error *e)
{
    struct gs_writer *w = (struct gs_writer *)base;
    const uint8_t *p = data;
    while (n) {
        size_t k = CHUNK - w->size % CHUNK;
        if (k > n)
            k = n;
        if (temporary_write(w->spool, p, k, w->url, e) < 0)
            return -1;
        w->crc = crc32c(w->crc, p, k);
        w->size += k;
        p += k;
        n -= k;
        if (w->size % CHUNK == 0 && prefix_compare(w, e) < 0)
            return -1;
    }
    return upload(w, false, e);
}

int gs_writer_commit(struct store_writer *base, struct error *e)
{
    struct gs_writer *w = (struct gs_writer *)base;
    int bad = 0;
    if (w->resumed && !w->done && w->size < w->persisted)
        bad = begin_anew(w, "an earlier upload sent other bytes", e);
    if (!bad)
        bad = upload(w, true, e);
    if (!bad && w->resumed && (!w->made.has_crc32c || gs_made_check(w->url, &w->made, w->size, w->crc, NULL) < 0)) {
        /* a mixture, or the whole of something else */
        bad = gs_remove_version(w->url, w->made.generation, e);
        if (!bad)
            bad = begin_anew(w, "an earlier upload sent other bytes", e);
        if (!bad)
            bad = upload(w, true, e);
    }
    if (!bad && (bad = gs_made_check(w->url, &w->made, w->size, w->crc, e)) < 0)
        gs_remove_version(w->url, w->made.generation, NULL);
    writer_free(w, !w->done);
    return bad;
}

/* What was sent stays for the next writer of that name, if there is a note of it. */
void gs_writer_abort(struct store_writer *base)
{
    struct gs_writer *w = (struct gs_writer *)base;
    bool keep = w->note.fd >= 0 && w->persisted > 0 && !w->done;
    if (!keep && !w->done)
        session_cancel(w);
    writer_free(w, keep);
}
