/* libcommon/stream/stream.c - see stream.h: which kind of end, and what is common to all */
#include "libcommon/stream/end.h"
#include "libcommon/stream/format/unit.h"

#include <stdlib.h>
#include <string.h>

bool endpoint_is(const char *spec)
{
    if (!spec)
        return false;
    spec += *spec == '@';
    return !strncmp(spec, "tcp://", 6) || !strncmp(spec, "ipc://", 6) || !strncmp(spec, "inproc://", 9);
}

/* --- reading --------------------------------------------------------------------------- */
struct stream_in *stream_in_open(const char *spec, struct error *e)
{
    if (!endpoint_is(spec))
        return pipe_in_open(spec, e);
    error_set(e, STATUS_BAD, "'%s': this program reads a pipe or a file; let the filter before it, or fan, have that "
                             "--in, and read what it writes", spec);
    return NULL;
}

struct stream_in *stream_in_open_tail(const char *spec, const struct stream_tail *tail, struct error *e)
{
    return endpoint_is(spec) ? tail_in_open(spec, tail, e) : pipe_in_open(spec, e);
}

bool stream_in_is_endpoint(const struct stream_in *in) { return in->ops->commit != NULL; }

void stream_in_commit(struct stream_in *in, uint64_t seq)
{
    if (in->ops->commit)
        in->ops->commit(in, seq);
}

void stream_in_finish(struct stream_in *in)
{
    if (in->ops->finish)
        in->ops->finish(in);
}

int stream_in_base(struct stream_in *in, const struct stream_in_ops *ops, const char *name, struct error *e)
{
    *in = (struct stream_in){ .ops = ops, .name = strdup(name) };
    header_init(&in->header);
    return in->name ? 0 : error_memory(e);
}

void stream_in_done(struct stream_in *in)
{
    free(in->name);
    header_release(&in->header);
}

int stream_in_waits(struct stream_in *in, struct error *e)
{
    return in->before_wait ? in->before_wait(in->before_ctx, e) : 0;
}

void stream_in_before_wait(struct stream_in *in, int (*flush)(void *ctx, struct error *e), void *ctx)
{
    in->before_wait = flush;
    in->before_ctx = ctx;
}

enum stream_event stream_next(struct stream_in *in, struct unit *u, struct error *e) { return in->ops->next(in, u, e); }
const struct header *stream_in_header(const struct stream_in *in) { return &in->header; }
const struct stream_end *stream_in_end(const struct stream_in *in) { return &in->end; }
uint64_t stream_in_bytes(const struct stream_in *in) { return in->bytes; }
double stream_in_waited(const struct stream_in *in) { return in->waited; }
const char *stream_in_name(const struct stream_in *in) { return in->name; }

void stream_in_close(struct stream_in *in)
{
    if (in)
        in->ops->close(in);
}

/* --- writing ------------------------------------------------------------------------------- */
struct stream_out *stream_out_open(const char *spec, struct error *e)
{
    return endpoint_is(spec) ? head_out_open(spec, e) : pipe_out_open(spec, e);
}

int stream_out_wants(struct stream_out *out, uint64_t *q, uint64_t units, struct error *e)
{
    if (!out->ops->wants)
        return *q < units;
    uint64_t had = *q;
    int got = out->ops->wants(out, q, units, e);
    if (*q != had)
        out->q = *q;
    return got;
}

bool stream_out_skips(struct stream_out *out, uint64_t q) { return out->ops->skips && out->ops->skips(out, q); }

int stream_out_base(struct stream_out *out, const struct stream_out_ops *ops, const char *name, struct error *e)
{
    *out = (struct stream_out){ .ops = ops, .name = strdup(name) };
    return out->name ? 0 : error_memory(e);
}

void stream_out_done(struct stream_out *out) { free(out->name); }
void stream_out_batch(struct stream_out *out) { out->batch = true; }
int stream_out_flush(struct stream_out *out, struct error *e) { return out->ops->flush(out, e); }

/* A put by one that batches stays; of others it goes on at once. */
static int put_done(struct stream_out *out, int rc, struct error *e)
{
    return rc < 0 || out->batch ? rc : out->ops->flush(out, e);
}

int stream_put_header(struct stream_out *out, const struct header *h, struct error *e)
{
    if (out->begun)
        return error_set(e, STATUS_BAD, "%s: a header inside a stream", out->name);
    out->begun = true;
    out->end = (struct stream_end){ 0, 0, 0 };
    return put_done(out, out->ops->put_header(out, h, e), e);
}

int stream_put_unit(struct stream_out *out, struct unit *u, struct error *e)
{
    if (!out->begun)
        return error_set(e, STATUS_BAD, "%s: a unit before the header", out->name);
    if (out->end.units && u->q != out->q)
        return error_set(e, STATUS_BAD, "%s: unit %llu after unit %llu", out->name, (unsigned long long)u->q,
                         (unsigned long long)out->q - 1);
    int rc = out->ops->put_unit(out, u, e);
    if (rc < 0)
        return rc;
    unit_count(u);
    out->q = u->q + 1;
    out->end.units++;
    out->end.samples += u->k;
    out->end.errors += u->failed;
    return put_done(out, rc, e);
}

int stream_put_end(struct stream_out *out, struct error *e)
{
    if (!out->begun)
        return error_set(e, STATUS_BAD, "%s: an end before the header", out->name);
    out->begun = false;
    return put_done(out, out->ops->put_end(out, e), e);
}

const struct stream_end *stream_out_end(const struct stream_out *out) { return &out->end; }
uint64_t stream_out_window(struct stream_out *out) { return out->ops->window ? out->ops->window(out) : 0; }
double stream_out_waited(const struct stream_out *out) { return out->waited; }
bool stream_out_gone(const struct stream_out *out) { return out->gone; }
int stream_out_close(struct stream_out *out, struct error *e) { return out ? out->ops->close(out, e) : 0; }
