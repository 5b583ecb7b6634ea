/* libcommon/store/remote.c - see remote.h */
#include "libcommon/store/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "libcommon/store/retry.h"
#include "libcommon/stream/crc32c.h"

enum { HEAD = 1 << 20, PART = 8 << 20, SIDE_BY_SIDE = 8, WHOLE_MAX = 1 << 30, CHECKSUM_TRIES = 3 };

static bool gunzipped(const struct http_request *r)
{
    struct span s = http_answer(r, "x-guploader-response-body-transformations");
    return s.data && memmem(s.data, s.size, "gunzipped", 9);
}

static int changed(const struct remote *o, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s': object changed while it was read", o->base.url);
}

void remote_pin_etag(struct remote *o, const struct http_request *r)
{
    struct span etag = http_answer(r, "ETag");
    o->etag = etag.data ? strndup((const char *)etag.data, etag.size) : NULL;
}

bool remote_same_etag(const struct remote *o, const struct http_request *r)
{
    struct span etag = http_answer(r, "ETag");
    return !o->etag || !etag.data || (strlen(o->etag) == etag.size && !memcmp(o->etag, etag.data, etag.size));
}

/* --- one answer ------------------------------------------------------------------- */

/* What a failed answer means.  0: again (slept, or with fresh credentials); -1 with e. */
static int failed(struct remote *o, const struct http_request *r, struct retry *t, uint64_t byte, bool *fresh, struct error *e)
{
    if (r->code == CURLE_OK && r->status == 401 && !*fresh) {
        *fresh = true;
        return 0;
    }
    if (r->code == CURLE_OK && (r->status == 404 || r->status == 412)) {
        if (o->pinned)
            return changed(o, e);
        return error_set(e, STATUS_BAD, "'%s': no such object", o->base.url);
    }
    return retry_after(t, r, byte, e);
}

/* Is this 200 or 206 what was asked for: bytes from `offset` on of the pinned
 * version?  NULL, or what is wrong; *other: it is another version. */
static const char *answer_check(const struct remote *o, const struct http_request *r, uint64_t offset, bool *other)
{
    uint64_t from, total;
    *other = !o->how->same(o, r);
    if (*other)
        return "another version";
    if (r->status == 206) {
        if (!http_content_range(r, &from, &total))
            return "a part without Content-Range";
        *other = total != o->base.info.size;
        return from != offset ? "another range than was asked for" : *other ? "another size" : NULL;
    }
    if (r->status != 200)
        return "an answer that is no content";
    return offset && !o->unranged && !gunzipped(r) ? "the whole object where a range was asked for" : NULL;
}

/* --- parts ---------------------------------------------------------------------------- */

struct part {
    uint64_t offset;
    size_t size, got;
    uint8_t *to;
};

static int part_judge(struct remote *o, struct part *p, const struct http_request *r, struct retry *t, bool *fresh, struct error *e)
{
    bool other;
    uint64_t at = p->offset + p->got;
    if (r->status / 100 != 2)
        return failed(o, r, t, at, fresh, e);
    const char *wrong = answer_check(o, r, at, &other);
    if (other)
        return changed(o, e);
    if (wrong)
        return retry_because(t, wrong, at, e);
    p->got += r->got;
    if (r->got)
        retry_progress(t);
    if (p->got == p->size)
        return 0;
    if (r->code != CURLE_OK)
        return retry_after(t, r, p->offset + p->got, e);
    return retry_because(t, "the answer ended early", p->offset + p->got, e);
}

/* One try of up to SIDE_BY_SIDE unfinished parts; *left is how many are unfinished after it. */
static int round_run(struct remote *o, struct part *part, size_t n, size_t *left, struct retry *t, bool *fresh, struct error *e)
{
    struct http_request request[SIDE_BY_SIDE], *run[SIDE_BY_SIDE] = { NULL };
    struct part *of[SIDE_BY_SIDE];
    size_t k = 0;
    int bad = 0;
    for (size_t i = 0; i < n && k < SIDE_BY_SIDE && !bad; i++) {
        struct part *p = &part[i];
        if (p->got == p->size)
            continue;
        if ((bad = o->how->prepare(o, &request[k], p->offset + p->got, p->size - p->got, *fresh, e)) < 0)
            break;
        request[k].to = p->to + p->got;
        request[k].room = p->size - p->got;
        request[k].skip = p->offset + p->got;
        of[k] = p;
        run[k] = &request[k];
        k++;
    }
    *fresh = false;
    if (!bad)
        http_perform(run, k);
    bool again = false;
    for (size_t i = 0; i < k; i++) {
        if (!bad)
            bad = part_judge(o, of[i], run[i], t, &again, e);
        http_release(run[i]);
    }
    *fresh = again;
    *left = 0;
    for (size_t i = 0; i < n; i++)
        *left += part[i].got < part[i].size;
    return bad;
}

static int parts_read(struct remote *o, uint64_t offset, size_t size, uint8_t *to, struct error *e)
{
    size_t each = o->unranged ? size : PART, n = (size - 1) / each + 1, left = n;
    struct part *part = calloc(n, sizeof *part);
    struct retry t;
    bool fresh = false, refreshed = false;
    int bad = part ? 0 : error_set(e, STATUS_AGAIN, "out of memory");
    retry_begin(&t, o->base.url);
    for (size_t i = 0; part && i < n; i++)
        part[i] = (struct part){ offset + i * each, i + 1 < n ? each : size - i * each, 0, to + i * each };
    while (!bad && left) {
        bad = round_run(o, part, n, &left, &t, &fresh, e);
        if (!bad && fresh && refreshed)
            bad = error_set(e, STATUS_BAD, "'%s': HTTP 401, also with fresh credentials", o->base.url);
        refreshed |= fresh;
    }
    free(part);
    return bad;
}

/* --- checksums ------------------------------------------------------------------------- */

/* Reads that go on where the last one ended are summed; the sum is judged at the end. */
static int sequence_check(struct remote *o, uint64_t offset, size_t n, const void *data, struct error *e)
{
    int bad = 0;
    pthread_mutex_lock(&o->lock);
    if (o->base.info.has_crc32c && o->summed == offset) {
        o->sum = crc32c(o->sum, data, n);
        o->summed += n;
        if (o->summed == o->base.info.size && o->sum != o->base.info.crc32c)
            bad = error_set(e, STATUS_AGAIN, "'%s': crc32c of what was read is %08x, the store says %08x", o->base.url, o->sum, o->base.info.crc32c);
    }
    pthread_mutex_unlock(&o->lock);
    return bad;
}

/* All of it at once: damage on the way is mended by reading it again. */
static int whole_read(struct remote *o, uint8_t *to, struct error *e)
{
    size_t n = (size_t)o->base.info.size, head = o->head.size < n ? o->head.size : n;
    if (head && to != o->head.data)
        memcpy(to, o->head.data, head);
    struct retry t;
    retry_begin(&t, o->base.url);
    for (int i = 0;; i++, head = 0) {
        if (head < n && parts_read(o, head, n - head, to + head, e) < 0)
            return -1;
        uint32_t sum = o->base.info.has_crc32c ? crc32c(0, to, n) : 0;
        if (!o->base.info.has_crc32c || sum == o->base.info.crc32c)
            return 0;
        char why[100];
        snprintf(why, sizeof why, "crc32c is %08x, the store says %08x", sum, o->base.info.crc32c);
        if (i + 1 == CHECKSUM_TRIES)
            return error_set(e, STATUS_AGAIN, "'%s': %s, in each of %d readings", o->base.url, why, CHECKSUM_TRIES);
        if (retry_because(&t, why, 0, e) < 0)
            return -1;
    }
}

int remote_read(struct object *base, uint64_t offset, size_t n, void *to, struct error *e)
{
    struct remote *o = (struct remote *)base;
    if (!o->whole && offset == 0 && n == base->info.size)
        return whole_read(o, to, e);
    size_t head = offset < o->head.size ? o->head.size - (size_t)offset : 0;
    if (head > n)
        head = n;
    if (head)
        memcpy(to, o->head.data + offset, head);
    if (head < n && parts_read(o, offset + head, n - head, (uint8_t *)to + head, e) < 0)
        return -1;
    return o->whole ? 0 : sequence_check(o, offset, n, to, e);
}

void remote_close(struct object *base)
{
    struct remote *o = (struct remote *)base;
    buf_release(&o->head);
    pthread_mutex_destroy(&o->lock);
    free(o->request_url);
    free(o->etag);
    free(base->url);
    free(o);
}

/* --- opening ------------------------------------------------------------------------------ */

static int inflate_head(struct remote *o, struct error *e)
{
    struct buf plain;
    buf_init(&plain, WHOLE_MAX);
    z_stream z = { .next_in = o->head.data, .avail_in = (uInt)o->head.size };
    int r = inflateInit2(&z, 15 + 16);
    while (r == Z_OK) {
        size_t before = plain.size, room = HEAD;
        uint8_t *to = buf_extend(&plain, room);
        if (!to)
            break;
        z.next_out = to;
        z.avail_out = (uInt)room;
        r = inflate(&z, Z_NO_FLUSH);
        plain.size = before + room - z.avail_out;
        if (r == Z_BUF_ERROR || (r == Z_OK && z.avail_in == 0 && z.avail_out))
            break;
    }
    inflateEnd(&z);
    if (r != Z_STREAM_END) {
        buf_release(&plain);
        return error_set(e, STATUS_BAD, "'%s' says it is gzip, but %s", o->base.url, r == Z_OK && plain.failed ? "is larger than 1 GiB" : "cannot be inflated");
    }
    buf_release(&o->head);
    o->head = plain;
    o->base.info.size = plain.size;
    o->base.info.has_crc32c = false;    /* that was of what is stored */
    o->whole = true;
    return 0;
}

/* How long it is, from an answer to the first range.  False: it does not say. */
static bool size_read(struct remote *o, const struct http_request *r, uint64_t *size)
{
    uint64_t from;
    if (r->status == 206)
        return http_content_range(r, &from, size) && from == 0;
    o->unranged = true;
    return !gunzipped(r) && http_answer_u64(r, "Content-Length", size);
}

/* The first answer that is one.  It names the version and, mostly, the size. */
static int first_answer(struct remote *o, struct http_request *r, bool *sized, struct error *e)
{
    struct retry t;
    bool fresh = false, refreshed = false;
    retry_begin(&t, o->base.url);
    for (;;) {
        if (o->how->prepare(o, r, 0, HEAD, fresh, e) < 0)
            return -1;
        buf_clear(&o->head);
        if (!buf_extend(&o->head, HEAD)) {
            http_release(r);
            return error_set(e, STATUS_AGAIN, "out of memory");
        }
        r->to = o->head.data;
        r->room = HEAD;
        http_perform((struct http_request *const[]){ r }, 1);
        o->head.size = r->got;
        if (r->status == 206 || r->status == 200) {
            *sized = size_read(o, r, &o->base.info.size);
            bool broke = r->code != CURLE_OK && r->got < o->base.info.size;
            if (*sized ? !broke || retry_after(&t, r, r->got, e) == 0 : r->status == 200 && r->code == CURLE_OK)
                return 0;       /* what broke off is gone on with by parts */
            if (*sized)
                break;
            if (retry_because(&t, r->status == 206 ? "a part without Content-Range" : r->why, 0, e) < 0)
                break;
        } else if (r->code == CURLE_OK && r->status == 416) {
            *sized = true;      /* an empty object has no first byte */
            o->base.info.size = 0;
            o->head.size = 0;
            return 0;
        } else {
            bool again = refreshed;
            if (failed(o, r, &t, 0, &again, e) < 0)
                break;
            fresh = again && !refreshed;
            refreshed |= again;
        }
        http_release(r);
    }
    http_release(r);
    return -1;
}

/* An object whose length nobody says: all of it, into memory. */
static int unsized_read(struct remote *o, const struct http_request *first, struct error *e)
{
    struct retry t;
    retry_begin(&t, o->base.url);
    for (bool more = first->more; more;) {
        struct http_request r;
        struct buf all;
        buf_init(&all, WHOLE_MAX);
        if (o->how->prepare(o, &r, 0, 0, false, e) < 0)
            return -1;
        r.into = &all;
        http_perform((struct http_request *const[]){ &r }, 1);
        bool fresh = true;
        int bad = 0;
        if (r.more)
            bad = error_set(e, STATUS_BAD, "'%s': more than 1 GiB, and its server tells no size", o->base.url);
        else if (r.status != 200)
            bad = failed(o, &r, &t, 0, &fresh, e);
        else if (!o->how->same(o, &r))
            bad = changed(o, e);
        else if (r.code != CURLE_OK)
            bad = retry_after(&t, &r, r.got, e);
        else
            more = false;
        http_release(&r);
        if (bad || more) {
            buf_release(&all);
            if (bad)
                return -1;
            continue;
        }
        buf_release(&o->head);
        o->head = all;
    }
    o->base.info.size = o->head.size;
    o->whole = true;
    return 0;
}

/* The head is complete and, if it is the object, sound. */
static int head_complete(struct remote *o, bool all, struct error *e)
{
    size_t want = all || o->base.info.size < HEAD ? (size_t)o->base.info.size : HEAD, have = o->head.size;
    if (want > o->head.max)
        return error_set(e, STATUS_BAD, "'%s' is compressed, and more than 1 GiB", o->base.url);
    if (have > want)
        o->head.size = have = want;
    if (have < want && !buf_extend(&o->head, want - have))
        return error_set(e, STATUS_AGAIN, "out of memory");
    if (want < o->base.info.size)
        return have < want ? parts_read(o, have, want - have, o->head.data + have, e) : 0;
    /* whole_read takes what is there already from the head itself */
    o->head.size = have;
    int bad = want ? whole_read(o, o->head.data, e) : 0;
    o->head.size = want;
    return bad;
}

static int opened(struct remote *o, struct error *e)
{
    struct http_request r;
    bool sized = false;
    if (first_answer(o, &r, &sized, e) < 0)
        return -1;
    if (o->how->pin)
        o->how->pin(o, &r);
    int bad = o->pinned && !o->how->same(o, &r) ? changed(o, e) : 0;
    o->pinned = true;
    struct span encoding = http_answer(&r, "Content-Encoding");
    bool packed = o->how->inflate && encoding.size == 4 && !strncasecmp((const char *)encoding.data, "gzip", 4);
    if (!bad)
        bad = sized ? head_complete(o, packed, e) : unsized_read(o, &r, e);
    http_release(&r);
    if (!bad && packed && o->base.info.size)
        bad = inflate_head(o, e);
    if (!bad && o->head.size == o->base.info.size)
        o->whole = true;
    return bad;
}

struct object *remote_open(const struct remote_kind *how, const char *url, const char *request_url, uint64_t generation, struct error *e)
{
    struct remote *o = calloc(1, sizeof *o);
    if (o) {
        o->base.kind = how->store;
        o->how = how;
        o->base.url = strdup(url);
        o->request_url = strdup(request_url);
        o->base.info.generation = generation;
        o->pinned = generation != 0;
        buf_init(&o->head, WHOLE_MAX);
        pthread_mutex_init(&o->lock, NULL);
    }
    if (!o || !o->base.url || !o->request_url)
        error_set(e, STATUS_AGAIN, "out of memory");
    else if (opened(o, e) == 0)
        return &o->base;
    if (o)
        remote_close(&o->base);
    return NULL;
}
