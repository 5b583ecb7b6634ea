/* libcommon/stream/crew/outbox.c - see outbox.h */
#include "libcommon/stream/crew/outbox.h"

#include <string.h>
#include <sys/uio.h>

/* SMALL: bodies below are cheaper to copy than to write one by one.  GATHER: where copies gather, as large as a pipe takes
 * at once. */
enum { SMALL = 32 << 10, GATHER = 60 << 10, VECTORS = 16 };

static void segment_add(struct outbox *o, struct blob *b, size_t room)
{
    o->seg[o->n].blob = b;
    o->seg[o->n].at = 0;
    o->seg[o->n++].room = room;
}

/* Behind what is there already, so that many small units are one write. */
int outbox_put(struct outbox *o, const void *data, size_t n)
{
    struct blob *last = o->n ? o->seg[o->n - 1].blob : NULL;
    if (!last || o->seg[o->n - 1].room < last->size + n) {
        last = blob_new(n < GATHER ? GATHER : n);
        if (!last)
            return -1;
        segment_add(o, last, last->size);
        last->size = 0;
    }
    if (n)
        memcpy(last->data + last->size, data, n);
    last->size += n;
    o->put += n;
    return 0;
}

int outbox_put_blob(struct outbox *o, struct blob *b)
{
    int rc = 0;
    if (b->size >= SMALL) {
        segment_add(o, b, 0);
        o->put += b->size;
        return 0;
    }
    if (b->size)
        rc = outbox_put(o, b->data, b->size);
    blob_drop(b);
    return rc;
}

/* As writev: what comes next of them, up to a shadow, or that. */
static ssize_t segments_write(struct outbox *o, int fd)
{
    struct iovec v[VECTORS];
    int n = 0;
    for (bool whole = true; whole && n < o->n && n < VECTORS; n++) {
        struct blob *b = o->seg[n].blob;
        size_t at = o->seg[n].at, here = shadow_before(b, at);
        if (!n && !here)
            return shadow_pass(b, fd, false);
        v[n] = (struct iovec){ b->data + at, here };
        whole = here == b->size - at;
    }
    return writev(fd, v, n);
}

void outbox_write(struct outbox *o, int fd)
{
    while (o->n) {
        ssize_t done = segments_write(o, fd);
        if (done < 0)
            return;
        o->gone += (uint64_t)done;
        int gone = 0;
        for (size_t left = (size_t)done; gone < o->n; gone++) {
            size_t rest = o->seg[gone].blob->size - o->seg[gone].at;
            if (left < rest) {
                o->seg[gone].at += left;
                break;
            }
            left -= rest;
            blob_drop(o->seg[gone].blob);
        }
        memmove(o->seg, o->seg + gone, (size_t)(o->n - gone) * sizeof *o->seg);
        o->n -= gone;
    }
}

void outbox_clear(struct outbox *o)
{
    for (int i = 0; i < o->n; i++)
        blob_drop(o->seg[i].blob);
    o->n = 0;
    o->put = o->gone = 0;
}
