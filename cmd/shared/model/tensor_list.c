/* cmd/shared/model/tensor_list.c - see tensor_list.h */
#include "cmd/shared/model/tensor_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 18 };       /* values narrowed at once */

const char *const dtype_names[] = { "float32", "bfloat16", "float16", NULL };

enum st_dtype dtype_by_name(const char *name)
{
    return !strcmp(name, "bfloat16") ? ST_BF16 : !strcmp(name, "float16") ? ST_F16 : ST_F32;
}

int tensor_list_add(struct tensor_list *l, const struct param *p, const char *suffix, enum st_dtype dtype,
                    const void *data, struct error *e)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        struct st_tensor *more = realloc(l->t, room * sizeof *more);
        if (!more)
            return error_set(e, STATUS_AGAIN, "out of memory for a list of tensors");
        l->t = more;
        l->room = room;
    }
    size_t name = strlen(p->name) + strlen(suffix) + 1;
    struct st_tensor *t = &l->t[l->n];
    *t = (struct st_tensor){ .name = malloc(name), .dtype = dtype, .data = span_of(data, sizeof(int64_t)) };
    if (!t->name)
        return error_set(e, STATUS_AGAIN, "out of memory for a list of tensors");
    snprintf(t->name, name, "%s%s", p->name, suffix);
    l->n++;
    if (dtype == ST_I64)        /* a scalar */
        return 0;
    t->rank = p->rank;
    for (int i = 0; i < p->rank; i++)
        t->shape[i] = p->shape[i];
    t->data.size = p->count * sizeof(float);
    return 0;
}

int tensor_list_add_weights(struct tensor_list *l, const struct params *ps, bool adapters, enum st_dtype dtype,
                            struct error *e)
{
    for (size_t i = 0; i < ps->n; i++)
        if ((ps->p[i]->kind == PARAM_ADAPTER) == adapters && tensor_list_add(l, ps->p[i], "", dtype, ps->p[i]->data, e) < 0)
            return -1;
    return 0;
}

void tensor_list_release(struct tensor_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->t[i].name);
    free(l->t);
    *l = (struct tensor_list){ 0 };
}

static int put_values(const struct st_tensor *t, uint8_t *scratch, const struct tensor_sink *sink, struct error *e)
{
    if (t->dtype == ST_F32 || t->dtype == ST_I64)
        return sink->put(sink->ctx, t->data.data, t->data.size, e);
    const float *from = (const float *)(const void *)t->data.data;
    for (size_t left = (size_t)st_count(t); left; ) {
        size_t n = left < PIECE ? left : PIECE;
        st_from_f32(from, n, t->dtype, scratch);
        if (sink->put(sink->ctx, scratch, n * st_item_size(t->dtype), e) < 0)
            return -1;
        from += n;
        left -= n;
    }
    return 0;
}

int tensor_list_put(const struct tensor_list *l, const struct tensor_sink *sink, struct error *e)
{
    struct buf header;
    buf_init(&header, 1 << 28);
    uint8_t *scratch = malloc(PIECE * 2);
    uint64_t size = 0;
    int rc = scratch ? safetensors_header(l->t, l->n, &header, e) : error_memory(e);
    for (size_t i = 0; i < l->n; i++)
        size += st_count(&l->t[i]) * st_item_size(l->t[i].dtype);
    if (rc == 0)
        rc = sink->begin(sink->ctx, header.size + size, e);
    if (rc == 0)
        rc = sink->put(sink->ctx, header.data, header.size, e);
    for (size_t i = 0; rc == 0 && i < l->n; i++)
        rc = put_values(&l->t[i], scratch, sink, e);
    free(scratch);
    buf_release(&header);
    return rc;
}

/* --- into a file ------------------------------------------------------------------ */
struct outfile { const char *path; int fd; };

static int lost(const char *path, struct error *e)
{
    return error_set(e, error_errno_status(errno), "cannot write '%s': %s", path, strerror(errno));
}

static int file_begin(void *ctx, uint64_t size, struct error *e)
{
    (void)ctx;
    (void)size;
    (void)e;
    return 0;
}

static int file_put(void *ctx, const void *data, size_t n, struct error *e)
{
    const struct outfile *t = ctx;
    return file_write_all(t->fd, data, n) < 0 ? lost(t->path, e) : 0;
}

int tensor_list_write(const struct tensor_list *l, const char *path, struct error *e)
{
    size_t room = strlen(path) + sizeof ".part";
    char *part = malloc(room);
    if (!part)
        return error_memory(e);
    snprintf(part, room, "%s.part", path);
    struct outfile t = { path, open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) };
    int rc = t.fd < 0 ? lost(path, e) : tensor_list_put(l, &(struct tensor_sink){ file_begin, file_put, &t }, e);
    if (rc == 0 && fsync(t.fd) < 0)
        rc = lost(path, e);
    if (t.fd >= 0 && close(t.fd) < 0 && rc == 0)
        rc = lost(path, e);
    if (rc == 0 && rename(part, path) < 0)
        rc = lost(path, e);
    if (rc < 0)
        (void)unlink(part);
    free(part);
    return rc;
}
