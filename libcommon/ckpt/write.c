/* libcommon/ckpt/write.c - writing a checkpoint stream (docs/checkpoint.7) */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/cli/pipe.h"
#include "libcommon/sys/file.h"

struct ckpt_out {
    struct pipe_end end;
    struct buf frame;           /* a control map and what precedes the data of its body */
    struct buf body;
    uint32_t crc;               /* of every byte so far */
    uint64_t q, commits, bytes;
    uint64_t step, files;       /* of the checkpoint being written */
    uint64_t left;              /* bytes that the file still owes */
};

bool ckpt_name_ok(struct span name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!name.size || name.size > CKPT_NAME || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!name.data[i] || !strchr(good, name.data[i]))
            return false;
    return true;
}

static int put(struct ckpt_out *o, const void *data, size_t n, struct error *e)
{
    o->crc = crc32c(o->crc, data, n);
    if (file_write_all(o->end.fd, data, n) == 0)
        return 0;
    if (errno == EPIPE)
        return error_set(e, STATUS_AGAIN, "the reader of the checkpoints (ckpt-write) has left; see what it said");
    return error_set(e, error_errno_status(errno), "cannot write checkpoint to %s: %s", o->end.name, strerror(errno));
}

/* A record: control, body.  The body is o->body followed by `n` bytes of data. */
static int put_record(struct ckpt_out *o, const char *type, const void *data, size_t n, struct error *e)
{
    struct buf *f = &o->frame;
    buf_clear(f);
    mp_put_map(f, 4);
    mp_put_str(f, "t");
    mp_put_str(f, type);
    mp_put_str(f, "q");
    mp_put_uint(f, o->q++);
    mp_put_str(f, "n");
    mp_put_uint(f, o->body.size + n);
    mp_put_str(f, "c");
    mp_put_uint(f, crc32c(crc32c(0, o->body.data, o->body.size), data, n));
    buf_append(f, o->body.data, o->body.size);
    if (f->failed || o->body.failed)
        return error_set(e, STATUS_AGAIN, "out of memory for a checkpoint record");
    if (put(o, f->data, f->size, e) < 0)
        return -1;
    return n ? put(o, data, n, e) : 0;
}

struct ckpt_out *ckpt_out_open(const char *spec, struct span run, const struct stage *stage, struct error *e)
{
    struct pipe_end end;
    if (pipe_end_open(&end, spec, O_WRONLY | O_CREAT | O_TRUNC,
                      "checkpoints go to ckpt-write: train-step ... | ckpt-write DIR", e) < 0)
        return NULL;
    struct ckpt_out *o = calloc(1, sizeof *o);
    if (!o) {
        error_memory(e);
        pipe_end_close(&end);
        return NULL;
    }
    o->end = end;
    buf_init(&o->frame, HEADER_MAX);
    buf_init(&o->body, CONTROL_MAX);
    struct buf *h = &o->frame;
    mp_put_map(h, 4);
    mp_put_str(h, "penstock");
    mp_put_uint(h, 1);
    mp_put_str(h, "kind");
    mp_put_str(h, "checkpoint");
    mp_put_str(h, "run");
    mp_put_bin(h, run.data, run.size);
    mp_put_str(h, "stages");
    mp_put_array(h, 1);
    stage_write(h, stage);
    if (h->failed) {
        error_set(e, STATUS_AGAIN, "out of memory for the header of the checkpoints");
        goto fail;
    }
    if (put(o, h->data, h->size, e) == 0)
        return o;
fail:
    ckpt_out_close(o, NULL);
    return NULL;
}

int ckpt_put_file(struct ckpt_out *o, uint64_t step, const char *name, uint64_t size, struct error *e)
{
    if (!ckpt_name_ok(span_of(name, strlen(name))))
        return error_set(e, STATUS_BAD, "'%s' cannot be the name of a file in a checkpoint", name);
    if (o->left)
        return error_set(e, STATUS_BAD, "the file before '%s' lacks %" PRIu64 " bytes", name, o->left);
    o->step = step;
    o->files++;
    o->left = size;
    buf_clear(&o->body);
    mp_put_map(&o->body, 3);
    mp_put_str(&o->body, "step");
    mp_put_uint(&o->body, step);
    mp_put_str(&o->body, "name");
    mp_put_str(&o->body, name);
    mp_put_str(&o->body, "size");
    mp_put_uint(&o->body, size);
    return put_record(o, "FILE", NULL, 0, e);
}

int ckpt_put_bytes(struct ckpt_out *o, const void *data, size_t n, struct error *e)
{
    if (n > o->left)
        return error_set(e, STATUS_BAD, "a file of the checkpoint has more bytes than it announced");
    for (const uint8_t *p = data; n; ) {
        size_t piece = n < CKPT_CHUNK ? n : CKPT_CHUNK;
        buf_clear(&o->body);
        mp_put_map(&o->body, 1);
        mp_put_str(&o->body, "data");
        mp_put_bin_head(&o->body, piece);
        if (put_record(o, "CHUNK", p, piece, e) < 0)
            return -1;
        p += piece;
        n -= piece;
        o->left -= piece;
        o->bytes += piece;
    }
    return 0;
}

int ckpt_put_whole(struct ckpt_out *o, uint64_t step, const char *name, const void *data, size_t n, struct error *e)
{
    return ckpt_put_file(o, step, name, n, e) < 0 ? -1 : ckpt_put_bytes(o, data, n, e);
}

int ckpt_put_commit(struct ckpt_out *o, uint64_t step, uint64_t best, struct error *e)
{
    if (o->left || step != o->step)
        return error_set(e, STATUS_BAD, "checkpoint %" PRIu64 " is committed unfinished", step);
    buf_clear(&o->body);
    mp_put_map(&o->body, 3);
    mp_put_str(&o->body, "step");
    mp_put_uint(&o->body, step);
    mp_put_str(&o->body, "files");
    mp_put_uint(&o->body, o->files);
    mp_put_str(&o->body, "best");
    if (best)
        mp_put_uint(&o->body, best);
    else
        mp_put_nil(&o->body);
    o->files = 0;
    o->commits++;
    return put_record(o, "COMMIT", NULL, 0, e);
}

int ckpt_put_end(struct ckpt_out *o, struct error *e)
{
    struct buf *f = &o->frame;
    buf_clear(f);
    mp_put_map(f, 4);
    mp_put_str(f, "t");
    mp_put_str(f, "END");
    mp_put_str(f, "checkpoints");
    mp_put_uint(f, o->commits);
    mp_put_str(f, "bytes");
    mp_put_uint(f, o->bytes);
    mp_put_str(f, "c");
    mp_put_uint(f, o->crc);
    if (f->failed)
        return error_memory(e);
    return put(o, f->data, f->size, e);
}

int ckpt_out_close(struct ckpt_out *o, struct error *e)
{
    if (!o)
        return 0;
    int rc = 0;
    if (close(o->end.fd) < 0 && errno != EINTR)
        rc = error_set(e, error_errno_status(errno), "cannot write checkpoint to %s: %s", o->end.name, strerror(errno));
    buf_release(&o->frame);
    buf_release(&o->body);
    free(o);
    return rc;
}
