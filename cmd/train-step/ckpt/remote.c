/* cmd/train-step/ckpt/remote.c - see remote.h */
#include "cmd/train-step/ckpt/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/store.h"
#include "libcommon/stream/end.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

#define LOOK_SECONDS 1.0
#define LAST_SECONDS 600.0

int remote_check(const struct options *o, struct error *e)
{
    if (!endpoint_is(o->common.in))
        return o->head ? error_set(e, STATUS_BAD, "--head is for an --in that is an endpoint") : 0;
    if (!o->head)
        return error_set(e, STATUS_BAD, "--in '%s' needs --head, the endpoint of its source", o->common.in);
    if (!o->resume)
        return error_set(e, STATUS_BAD, "--in '%s' needs --resume DEST, where ckpt-write writes: what is complete "
                                        "there is what the head may forget", o->common.in);
    return 0;
}

void remote_tail(const struct trainer *t, struct stream_tail *tail)
{
    *tail = (struct stream_tail){ .head = t->o->head, .next = t->state.cursor.next };
    if (t->resumed && t->state.run_size == sizeof tail->run)
        memcpy(tail->run, t->state.run, sizeof tail->run);
    if (t->o->resume && !url_is_remote(t->o->resume))
        tail->dir = t->o->resume;
}

/* The step that DEST/latest names; 0 none. */
static uint64_t newest(const char *dest)
{
    char path[4096], name[64] = "";
    unsigned long long step;
    struct error ignored;
    snprintf(path, sizeof path, "%s/latest", dest);
    if (url_is_remote(dest)) {
        struct buf b;
        buf_init(&b, sizeof name - 1);
        if (store_get(path, &b, &ignored) == 0)
            memcpy(name, b.data, b.size);
        buf_release(&b);
    } else {
        ssize_t n = readlink(path, name, sizeof name - 1);
        name[n > 0 ? n : 0] = 0;
    }
    return sscanf(name, "step-%llu", &step) == 1 ? step : 0;
}

void remote_saved(struct trainer *t)
{
    if (!t->source.in || !stream_in_is_endpoint(t->source.in))
        return;
    t->durable.step = t->state.step;
    t->durable.next = t->state.cursor.next;
}

void remote_look(struct trainer *t)
{
    double now = clock_seconds();
    if (!t->durable.step || now - t->durable.looked < LOOK_SECONDS)
        return;
    t->durable.looked = now;
    if (newest(t->o->resume) >= t->durable.step) {
        stream_in_commit(t->source.in, t->durable.next);
        t->durable.step = 0;
    }
}

int remote_finish(struct trainer *t, struct error *e)
{
    if (!t->source.in || !stream_in_is_endpoint(t->source.in))
        return 0;
    double began = clock_seconds();
    while (t->durable.step && newest(t->o->resume) < t->durable.step) {
        if (stop_asked() || clock_seconds() - began > LAST_SECONDS)
            return error_set(e, STATUS_AGAIN,
                             "the last checkpoint is not complete in '%s': was ckpt-write given the same DEST?",
                             t->o->resume);
        usleep(50000);
    }
    if (t->durable.step)
        stream_in_commit(t->source.in, t->durable.next);
    stream_in_finish(t->source.in);
    return 0;
}

int remote_was_finished(struct trainer *t, struct error *e)
{
    struct stream_tail tail;
    if (!endpoint_is(t->o->common.in) || !t->resumed || !t->state.finished || (uint64_t)t->o->max_steps > t->state.step)
        return 0;
    note("the run in '%s' is finished: nothing to do", t->o->resume);
    remote_tail(t, &tail);
    struct stream_in *in = stream_in_open_tail(t->o->common.in, &tail, e);
    if (!in)
        return -1;
    stream_in_finish(in);
    stream_in_close(in);
    return 1;
}
