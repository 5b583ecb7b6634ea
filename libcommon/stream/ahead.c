/* libcommon/stream/ahead.c - see ahead.h */
#include "libcommon/stream/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/end.h"
#include "libcommon/stream/format/unit.h"
#include "libcommon/sys/clock.h"

/* What stream_next said, and all that was to be seen then. */
struct slot {
    struct slot *next;
    enum stream_event event;
    struct unit unit;
    struct buf header;          /* the map */
    struct stream_end end;
    uint64_t bytes;
    struct error error;
};

struct ahead {
    struct stream_in base;
    struct stream_in *from;
    struct ahead_limits limits;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t came, taken;
    struct slot *first, *last;  /* read, in their order */
    struct slot *idle;          /* used before: the latest first, so that few are ever made */
    uint64_t units, samples, bytes;     /* of those that are read */
    struct slot spare;          /* says that there was no memory for another */
    bool closing;
};

/* --- the thread --------------------------------------------------------------------------- */

static struct slot *slot_get(struct ahead *a)
{
    pthread_mutex_lock(&a->lock);
    struct slot *s = a->idle;
    if (s)
        a->idle = s->next;
    pthread_mutex_unlock(&a->lock);
    if (s || !(s = calloc(1, sizeof *s)))
        return s;
    unit_init(&s->unit);
    buf_init(&s->header, HEADER_MAX);
    return s;
}

static void slot_read(struct ahead *a, struct slot *s)
{
    s->next = NULL;
    s->error = (struct error){ 0 };
    s->event = stream_next(a->from, &s->unit, &s->error);
    s->end = *stream_in_end(a->from);
    s->bytes = stream_in_bytes(a->from);
    if (s->event != STREAM_HEADER)
        return;
    const struct buf *map = &stream_in_header(a->from)->map;
    buf_clear(&s->header);
    buf_append(&s->header, map->data, map->size);
    if (s->header.failed) {
        error_memory(&s->error);
        s->event = STREAM_FAILED;
    }
}

/* With the lock. */
static bool full(const struct ahead *a)
{
    return a->units >= 2 && (a->samples >= a->limits.samples || a->bytes >= a->limits.bytes);
}

static void slot_put(struct ahead *a, struct slot *s)
{
    if (a->first)
        a->last->next = s;
    else
        a->first = s;
    a->last = s;
    if (s->event == STREAM_UNIT) {
        a->units++;
        a->samples += s->unit.k;
        a->bytes += s->unit.body.size;
    }
    pthread_cond_signal(&a->came);
}

static void *read_on(void *arg)
{
    struct ahead *a = arg;
    if (a->limits.cpus)
        cpus_bind(a->limits.cpus);
    for (bool more = true; more;) {
        struct slot *s = slot_get(a);
        if (s)
            slot_read(a, s);
        pthread_mutex_lock(&a->lock);
        if (!s) {
            s = &a->spare;
            s->event = STREAM_FAILED;
            error_memory(&s->error);
        }
        slot_put(a, s);
        more = s->event != STREAM_FAILED && s->event != STREAM_EOF;
        while (more && !a->closing && full(a))
            pthread_cond_wait(&a->taken, &a->lock);
        more &= !a->closing;
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* Before each wait for bytes: the taker may have closed. */
static int closing_look(void *ctx, struct error *e)
{
    struct ahead *a = ctx;
    pthread_mutex_lock(&a->lock);
    bool closing = a->closing;
    pthread_mutex_unlock(&a->lock);
    return closing ? error_set(e, STATUS_AGAIN, "closed") : 0;
}

/* --- the taker ------------------------------------------------------------------------------ */

static void unit_swap(struct unit *x, struct unit *y)
{
    struct unit z = *x;
    *x = *y;
    *y = z;
    for (uint32_t i = 0; i < x->k; i++)
        x->sample[i].arena = &x->arena;
    y->k = 0;
}

/* With the lock: the first is the taker's; what ends the stream stays for those who ask again. */
static struct slot *slot_take(struct ahead *a)
{
    double began = clock_seconds();
    while (!a->first)
        pthread_cond_wait(&a->came, &a->lock);
    struct slot *s = a->first;
    if (s->event == STREAM_FAILED || s->event == STREAM_EOF)
        return s;
    a->first = s->next;
    if (s->event == STREAM_UNIT) {
        a->units--;
        a->samples -= s->unit.k;
        a->bytes -= s->unit.body.size;
    }
    a->base.waited += clock_seconds() - began;
    return s;
}

static enum stream_event ahead_next(struct stream_in *in, struct unit *u, struct error *e)
{
    struct ahead *a = (struct ahead *)in;
    pthread_mutex_lock(&a->lock);
    struct slot *s = slot_take(a);
    enum stream_event event = s->event;
    in->end = s->end;
    in->bytes = s->bytes;
    if (event == STREAM_UNIT)
        unit_swap(u, &s->unit);
    if (event == STREAM_FAILED)
        *e = s->error;
    if (event == STREAM_HEADER && header_read(&in->header, span_of(s->header.data, s->header.size), e) < 0)
        event = STREAM_FAILED;
    if (s != a->first) {
        s->next = a->idle;
        a->idle = s;
        pthread_cond_signal(&a->taken);
    }
    pthread_mutex_unlock(&a->lock);
    return event;
}

static void ahead_commit(struct stream_in *in, uint64_t seq) { stream_in_commit(((struct ahead *)in)->from, seq); }
static void ahead_finish(struct stream_in *in) { stream_in_finish(((struct ahead *)in)->from); }

static void slots_free(struct ahead *a, struct slot *s)
{
    for (struct slot *next; s; s = next) {
        next = s->next;
        if (s == &a->spare)
            continue;
        unit_release(&s->unit);
        buf_release(&s->header);
        free(s);
    }
}

static void ahead_close(struct stream_in *in)
{
    struct ahead *a = (struct ahead *)in;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_signal(&a->taken);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    stream_in_close(a->from);
    slots_free(a, a->first);
    slots_free(a, a->idle);
    pthread_cond_destroy(&a->came);
    pthread_cond_destroy(&a->taken);
    pthread_mutex_destroy(&a->lock);
    stream_in_done(in);
    free(a);
}

static const struct stream_in_ops of_pipe = { .next = ahead_next, .close = ahead_close };
static const struct stream_in_ops of_endpoint = { .next = ahead_next, .commit = ahead_commit, .finish = ahead_finish,
                                                  .close = ahead_close };

struct stream_in *stream_in_ahead(struct stream_in *in, const struct ahead_limits *limits, struct error *e)
{
    struct ahead *a = calloc(1, sizeof *a);
    const struct stream_in_ops *ops = stream_in_is_endpoint(in) ? &of_endpoint : &of_pipe;
    if (!a || stream_in_base(&a->base, ops, stream_in_name(in), e) < 0) {
        error_memory(e);
        stream_in_close(in);
        free(a);
        return NULL;
    }
    a->from = in;
    a->limits = *limits;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->came, NULL);
    pthread_cond_init(&a->taken, NULL);
    stream_in_before_wait(in, closing_look, a);
    if (pthread_create(&a->thread, NULL, read_on, a) == 0)
        return &a->base;
    error_set(e, STATUS_AGAIN, "cannot start a thread");
    stream_in_close(in);
    stream_in_done(&a->base);
    free(a);
    return NULL;
}
