/* libcommon/ckpt/read.c - reading a checkpoint stream (docs/checkpoint.7)
 *
 * The bytes come from outside: sizes are bounded before memory is taken, maps
 * are read by the bounded cursor, and the order of records is checked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/cli/pipe.h"

enum { BODY_MAX = CKPT_CHUNK + 64 };

struct ckpt_in {
    struct pipe_end end;
    struct buf frame;           /* one object at a time; what follows it is not read ahead */
    struct buf body;
    uint32_t crc;               /* of every byte before the object in `frame` */
    uint64_t at;                /* bytes read */
    uint64_t q, commits, bytes;
    uint64_t step, files;       /* of the checkpoint being read */
    uint64_t left;              /* bytes that the file still owes */
    bool begun, ended;
};

struct control { struct span t; uint64_t q, n, c, checkpoints, bytes; };
struct body { uint64_t step, size, files, best; struct span name, data; };

/* Up to n bytes more into b: how many came before the end, or -1. */
static ssize_t take(struct ckpt_in *in, struct buf *b, size_t n, struct error *e)
{
    if (buf_reserve(b, n) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory reading %s", in->end.name);
    size_t got = 0;
    while (got < n) {
        ssize_t r = read(in->end.fd, b->data + b->size, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set(e, error_errno_status(errno), "cannot read %s: %s", in->end.name, strerror(errno));
        if (r == 0)
            break;
        got += (size_t)r;
        b->size += (size_t)r;
        in->at += (size_t)r;
    }
    return (ssize_t)got;
}

static int truncated(struct ckpt_in *in, struct error *e)
{
    return error_set(e, STATUS_AGAIN, "%s is truncated: it stops after %" PRIu64 " bytes without an end%s", in->end.name,
                     in->at, in->at ? " (the trainer was killed, or failed: see what it said)"
                                    : " (nothing came: see what the trainer said)");
}

static int bad(struct ckpt_in *in, struct error *e, const char *what)
{
    return error_set(e, STATUS_BAD, "%s is not a sound checkpoint stream: %s, before byte %" PRIu64, in->end.name, what,
                     in->at);
}

/* One map of at most `max` bytes into in->frame. */
static int take_map(struct ckpt_in *in, size_t max, struct error *e)
{
    struct buf *b = &in->frame;
    struct mp_walk walk = { 0 };
    buf_clear(b);
    for (uint64_t need = 1; ; ) {
        if (need > max)
            return bad(in, e, "a map is larger than it may be");
        if (take(in, b, (size_t)need - b->size, e) < 0)
            return -1;
        if (b->size < need)
            return truncated(in, e);
        switch (mp_walk(&walk, span_of(b->data, b->size), &need)) {
        case 1:
            return 0;
        case -1:
            return bad(in, e, "what is there is not msgpack");
        }
    }
}

static bool field_u64(const struct mp_value *k, const char *key, const struct mp_value *v, uint64_t *to)
{
    return mp_str_is(k, key) && v->type != MP_NIL && mp_to_u64(v, to);
}

/* A scalar value into v; containers are passed over and come as nil. */
static int read_value(struct mp_cursor *c, struct mp_value *v)
{
    struct mp_cursor peek = *c;
    if (mp_read(&peek, v) < 0)
        return -1;
    if (v->type == MP_ARRAY || v->type == MP_MAP) {
        *v = (struct mp_value){ .type = MP_NIL };
        return mp_skip(c, NULL);
    }
    *c = peek;
    return 0;
}

static int read_control(struct ckpt_in *in, struct control *o, struct error *e)
{
    *o = (struct control){ .q = UINT64_MAX, .c = UINT64_MAX };
    struct mp_cursor c = mp_cursor(span_of(in->frame.data, in->frame.size));
    struct mp_value map, k, v;
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return bad(in, e, "a control map is expected");
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &k) < 0 || k.type != MP_STR || read_value(&c, &v) < 0)
            return bad(in, e, "a broken control map");
        if (mp_str_is(&k, "t") && v.type == MP_STR)
            o->t = v.bytes;
        else if (!field_u64(&k, "q", &v, &o->q) && !field_u64(&k, "n", &v, &o->n) && !field_u64(&k, "c", &v, &o->c) &&
                 !field_u64(&k, "checkpoints", &v, &o->checkpoints))
            (void)field_u64(&k, "bytes", &v, &o->bytes);
    }
    return 0;
}

static int read_body(struct ckpt_in *in, struct body *o, struct error *e)
{
    *o = (struct body){ 0 };
    struct mp_cursor c = mp_cursor(span_of(in->body.data, in->body.size));
    struct mp_value map, k, v;
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return bad(in, e, "a body map is expected");
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &k) < 0 || k.type != MP_STR || read_value(&c, &v) < 0)
            return bad(in, e, "a broken body map");
        if (mp_str_is(&k, "name") && v.type == MP_STR)
            o->name = v.bytes;
        else if (mp_str_is(&k, "data") && v.type == MP_BIN)
            o->data = v.bytes;
        else if (!field_u64(&k, "step", &v, &o->step) && !field_u64(&k, "size", &v, &o->size) &&
                 !field_u64(&k, "files", &v, &o->files))
            (void)field_u64(&k, "best", &v, &o->best);
    }
    return c.p == c.end ? 0 : bad(in, e, "a body has bytes after its map");
}

static int read_header(struct ckpt_in *in, struct error *e)
{
    if (take_map(in, HEADER_MAX, e) < 0)
        return -1;
    struct mp_cursor c = mp_cursor(span_of(in->frame.data, in->frame.size));
    struct mp_value map, k, v;
    uint64_t version = 0;
    bool kind = false;
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP)
        return bad(in, e, "it does not begin with a header");
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_read(&c, &k) < 0 || k.type != MP_STR || read_value(&c, &v) < 0)
            return bad(in, e, "a broken header");
        (void)field_u64(&k, "penstock", &v, &version);
        if (mp_str_is(&k, "kind"))
            kind = mp_str_is(&v, "checkpoint");
    }
    if (version == 1 && !kind)
        return error_set(e, STATUS_BAD, "%s is a stream of samples, not of checkpoints: train-step goes in between",
                         in->end.name);
    if (version != 1)
        return bad(in, e, "its header is not of version 1");
    in->begun = true;
    in->crc = crc32c(0, in->frame.data, in->frame.size);
    return 0;
}

struct ckpt_in *ckpt_in_open(const char *spec, struct error *e)
{
    struct pipe_end end;
    if (pipe_end_open(&end, spec, O_RDONLY, "checkpoints come from train-step: train-step ... | ckpt-write DIR", e) < 0)
        return NULL;
    struct ckpt_in *in = calloc(1, sizeof *in);
    if (!in) {
        error_memory(e);
        pipe_end_close(&end);
        return NULL;
    }
    in->end = end;
    buf_init(&in->frame, HEADER_MAX);
    buf_init(&in->body, BODY_MAX);
    return in;
}

static enum ckpt_event at_end(struct ckpt_in *in, const struct control *c, struct error *e)
{
    if (c->c != in->crc)
        return (enum ckpt_event)bad(in, e, "the checksum of the whole does not match");
    if (in->files || in->left)
        return (enum ckpt_event)bad(in, e, "it ends inside a checkpoint");
    if (c->checkpoints != in->commits || c->bytes != in->bytes)
        return (enum ckpt_event)bad(in, e, "its end counts other checkpoints or bytes than came");
    in->ended = true;
    uint8_t more;
    ssize_t r;
    do
        r = read(in->end.fd, &more, 1);
    while (r < 0 && errno == EINTR);
    return r > 0 ? (enum ckpt_event)bad(in, e, "bytes follow its end") : CKPT_EOF;
}

/* A record whose bytes are sound: does it belong here? */
static enum ckpt_event accept(struct ckpt_in *in, struct span type, const struct body *b, struct ckpt_record *r,
                              struct error *e)
{
#define IS(name) (type.size == sizeof name - 1 && !memcmp(type.data, name, type.size))
    *r = (struct ckpt_record){ .step = in->step };
    if (IS("FILE")) {
        if (in->left)
            return (enum ckpt_event)bad(in, e, "a file lacks bytes");
        if (!ckpt_name_ok(b->name) || b->step > CKPT_STEP_MAX)
            return (enum ckpt_event)bad(in, e, "a file has a name or step that it may not have");
        if (in->files++ && b->step != in->step)
            return (enum ckpt_event)bad(in, e, "files of two steps in one checkpoint");
        in->step = r->step = b->step;
        in->left = r->size = b->size;
        memcpy(r->name, b->name.data, b->name.size);
        r->name[b->name.size] = 0;
        return CKPT_FILE;
    }
    if (IS("CHUNK")) {
        if (!b->data.size || b->data.size > CKPT_CHUNK || b->data.size > in->left)
            return (enum ckpt_event)bad(in, e, "a chunk does not fit its file");
        in->left -= b->data.size;
        in->bytes += b->data.size;
        r->data = b->data;
        return CKPT_BYTES;
    }
    if (IS("COMMIT")) {
        if (in->left || !in->files || b->files != in->files || b->step != in->step)
            return (enum ckpt_event)bad(in, e, "a checkpoint is committed with other files than came");
        r->best = b->best;
        in->files = 0;
        in->commits++;
        return CKPT_COMMIT;
    }
    return (enum ckpt_event)bad(in, e, "a record of a kind that is not known");
#undef IS
}

enum ckpt_event ckpt_next(struct ckpt_in *in, struct ckpt_record *r, struct error *e)
{
    if (in->ended)
        return CKPT_EOF;
    if (!in->begun && read_header(in, e) < 0)
        return CKPT_FAILED;
    struct control c;
    if (take_map(in, CONTROL_MAX, e) < 0 || read_control(in, &c, e) < 0)
        return CKPT_FAILED;
    if (c.t.size == 3 && !memcmp(c.t.data, "END", 3))
        return at_end(in, &c, e);
    if (c.q != in->q++)
        return (enum ckpt_event)bad(in, e, "a record is missing or comes twice");
    if (!c.n || c.n > BODY_MAX)
        return (enum ckpt_event)bad(in, e, "a body is empty or larger than it may be");
    in->crc = crc32c(in->crc, in->frame.data, in->frame.size);
    buf_clear(&in->body);
    ssize_t got = take(in, &in->body, (size_t)c.n, e);
    if (got < 0)
        return CKPT_FAILED;
    if ((uint64_t)got < c.n)
        return (enum ckpt_event)truncated(in, e);
    if (crc32c(0, in->body.data, in->body.size) != c.c)
        return (enum ckpt_event)bad(in, e, "a body does not match its checksum");
    in->crc = crc32c(in->crc, in->body.data, in->body.size);
    struct body b;
    return read_body(in, &b, e) < 0 ? CKPT_FAILED : accept(in, c.t, &b, r, e);
}

void ckpt_in_close(struct ckpt_in *in)
{
    if (!in)
        return;
    pipe_end_close(&in->end);
    buf_release(&in->frame);
    buf_release(&in->body);
    free(in);
}
