/* libcommon/store/http/remote.c - see remote.h */
#include "libcommon/store/http/remote_impl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/sys/log.h"

enum { PART = 8 << 20, SIDE_BY_SIDE = 8, CHECKSUM_TRIES = 3 };

bool remote_gunzipped(const struct http_request *r)
{
    struct span s = http_answer(r, "x-guploader-response-body-transformations");
    return s.data && memmem(s.data, s.size, "gunzipped", 9);
}

int remote_changed(const struct remote *o, struct error *e)
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

int remote_failed(struct remote *o, const struct http_request *r, struct retry *t, uint64_t byte, bool *fresh,
                  struct error *e)
{
    if (r->code == CURLE_OK && r->status == 401 && !*fresh) {
        *fresh = true;
        return 0;
    }
    if (r->code == CURLE_OK && (r->status == 404 || r->status == 412)) {
        if (o->pinned)
            return remote_changed(o, e);
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
    return offset && !o->unranged && !remote_gunzipped(r) ? "the whole object where a range was asked for" : NULL;
}

/* --- parts ---------------------------------------------------------------------------- */

struct part {
    uint64_t offset;
    size_t size, got;
    uint8_t *to;
};

static int part_judge(struct remote *o, struct part *p, const struct http_request *r, struct retry *t, bool *fresh,
                      struct error *e)
{
    bool other;
    uint64_t at = p->offset + p->got;
    if (r->status / 100 != 2)
        return remote_failed(o, r, t, at, fresh, e);
    const char *wrong = answer_check(o, r, at, &other);
    if (other)
        return remote_changed(o, e);
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
static int round_run(struct remote *o, struct part *part, size_t n, size_t *left, struct retry *t, bool *fresh,
                     struct error *e)
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

int remote_parts(struct remote *o, uint64_t offset, size_t size, uint8_t *to, struct error *e)
{
    size_t each = o->unranged ? size : PART, n = (size - 1) / each + 1, left = n;
    struct part *part = calloc(n, sizeof *part);
    struct retry t;
    bool fresh = false, refreshed = false;
    int bad = part ? 0 : error_memory(e);
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

/* An ETag looks like an MD5 also at stores where it is none; true once one was. */
static atomic_bool etags_are_md5;

/* What all of it should sum to: asked for at most once, and only of what is read whole. */
static void want_ask(struct remote *o, bool sure)
{
    if ((!o->want.kind || (sure && o->unsure)) && !o->asked && o->how->sum) {
        o->how->sum(o);
        o->asked = true;
    }
}

/* Reads that go on where the last one ended are summed; the sum is judged at the end. */
static int sequence_check(struct remote *o, uint64_t offset, size_t n, const void *data, struct error *e)
{
    int bad = 0;
    pthread_mutex_lock(&o->lock);
    if (offset == 0) {
        want_ask(o, !etags_are_md5);
        checksum_end(o->run);
        o->run = o->want.kind ? checksum_begin(o->want.kind) : NULL;
        o->summed = 0;
    }
    if (o->run && o->summed == offset) {
        checksum_add(o->run, data, n);
        o->summed += n;
        if (o->summed == o->base.info.size) {
            struct checksum sum = checksum_end(o->run);
            char got[CHECKSUM_TEXT], want[CHECKSUM_TEXT];
            o->run = NULL;
            checksum_show(&sum, got);
            checksum_show(&o->want, want);
            if ((!o->unsure || etags_are_md5) && !checksum_same(&sum, &o->want))
                bad = error_set(e, STATUS_AGAIN, "'%s': %s of what was read is %s, the store says %s", o->base.url,
                                checksum_name(o->want.kind), got, want);
        }
    }
    pthread_mutex_unlock(&o->lock);
    return bad;
}

/* Is what was read at last sound?  If not, `why` says so.  What is unlike its ETag twice
 * in the same way is what the store has. */
static bool sound(struct remote *o, const uint8_t *data, struct checksum *before, char *why, size_t size)
{
    struct checksum sum = checksum_of(o->want.kind, data, (size_t)o->base.info.size);
    char got[CHECKSUM_TEXT], want[CHECKSUM_TEXT];
    bool same = checksum_same(&sum, &o->want);
    if (same && o->unsure)
        etags_are_md5 = true;
    if (!sum.kind || same)
        return true;
    if (o->unsure && checksum_same(&sum, before)) {
        debug("'%s': its ETag is no MD5", o->base.url);
        return true;
    }
    *before = sum;
    checksum_show(&sum, got);
    checksum_show(&o->want, want);
    snprintf(why, size, "%s is %s, the store says %s", checksum_name(sum.kind), got, want);
    return false;
}

/* All of it at once: damage on the way is mended by reading it again. */
int remote_whole(struct remote *o, uint8_t *to, struct error *e)
{
    size_t n = (size_t)o->base.info.size, head = o->head.size < n ? o->head.size : n;
    struct checksum before = { 0 };
    struct retry t;
    if (head && to != o->head.data)
        memcpy(to, o->head.data, head);
    pthread_mutex_lock(&o->lock);
    want_ask(o, false);
    pthread_mutex_unlock(&o->lock);
    retry_begin(&t, o->base.url);
    for (int i = 0;; i++, head = 0) {
        char why[2 * CHECKSUM_TEXT + 60];
        if (head < n && remote_parts(o, head, n - head, to + head, e) < 0)
            return -1;
        if (!o->want.kind || sound(o, to, &before, why, sizeof why))
            return 0;
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
        return remote_whole(o, to, e);
    size_t head = offset < o->head.size ? o->head.size - (size_t)offset : 0;
    if (head > n)
        head = n;
    if (head)
        memcpy(to, o->head.data + offset, head);
    if (head < n && remote_parts(o, offset + head, n - head, (uint8_t *)to + head, e) < 0)
        return -1;
    return o->whole ? 0 : sequence_check(o, offset, n, to, e);
}

void remote_close(struct object *base)
{
    struct remote *o = (struct remote *)base;
    buf_release(&o->head);
    checksum_end(o->run);
    pthread_mutex_destroy(&o->lock);
    free(o->request_url);
    free(o->etag);
    free(base->url);
    free(o);
}
