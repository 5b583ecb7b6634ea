/* libcommon/store/http/remote_open.c - an object's first answer: its version, its size, its first bytes; see remote.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "libcommon/store/http/remote_impl.h"

enum { HEAD = 1 << 20, WHOLE_MAX = 1 << 30 };

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
        return error_set(e, STATUS_BAD, "'%s' says it is gzip, but %s", o->base.url,
                         r == Z_OK && plain.failed ? "is larger than 1 GiB" : "cannot be inflated");
    }
    buf_release(&o->head);
    o->head = plain;
    o->base.info.size = plain.size;
    o->base.info.has_crc32c = false;    /* that was of what is stored */
    o->want.kind = CHECKSUM_NONE;
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
    return !remote_gunzipped(r) && http_answer_u64(r, "Content-Length", size);
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
            return error_memory(e);
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
            if (remote_failed(o, r, &t, 0, &again, e) < 0)
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
            bad = remote_failed(o, &r, &t, 0, &fresh, e);
        else if (!o->how->same(o, &r))
            bad = remote_changed(o, e);
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
        return error_memory(e);
    if (want < o->base.info.size)
        return have < want ? remote_parts(o, have, want - have, o->head.data + have, e) : 0;
    /* remote_whole takes what is there already from the head itself */
    o->head.size = have;
    int bad = want ? remote_whole(o, o->head.data, e) : 0;
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
    int bad = o->pinned && !o->how->same(o, &r) ? remote_changed(o, e) : 0;
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

struct object *remote_open(const struct remote_kind *how, const char *url, const char *request_url, uint64_t generation,
                           struct error *e)
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
        error_memory(e);
    else if (opened(o, e) == 0)
        return &o->base;
    if (o)
        remote_close(&o->base);
    return NULL;
}
