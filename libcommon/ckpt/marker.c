/* libcommon/ckpt/marker.c - see marker.h */
#include "libcommon/ckpt/marker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void marker_init(struct marker *m)
{
    *m = (struct marker){ .sha = NULL };
    buf_init(&m->text, 1 << 20);
}

void marker_release(struct marker *m)
{
    checksum_end(m->sha);
    buf_release(&m->text);
}

void marker_begin(struct marker *m)
{
    buf_clear(&m->text);
    buf_printf(&m->text, "{\"files\": {");
    m->files = 0;
}

int marker_file(struct marker *m, const char *name, uint64_t size, struct error *e)
{
    if (!strcmp(name, "complete.json"))
        return error_set(e, STATUS_BAD, "a checkpoint may not bring its own 'complete.json'");
    snprintf(m->name, sizeof m->name, "%s", name);
    m->size = size;
    m->written = 0;
    checksum_end(m->sha);
    m->sha = checksum_begin(CHECKSUM_SHA256);
    return m->sha ? 0 : error_memory(e);
}

int marker_room(const struct marker *m, size_t n, struct error *e)
{
    if (m->sha && n <= m->size - m->written)
        return 0;
    return error_set(e, STATUS_BAD, "bytes of a checkpoint belong to no file");
}

void marker_bytes(struct marker *m, const void *data, size_t n)
{
    checksum_add(m->sha, data, n);
    m->written += n;
}

int marker_file_end(struct marker *m, struct error *e)
{
    char hex[CHECKSUM_TEXT];
    struct checksum sum = checksum_end(m->sha);
    m->sha = NULL;
    if (sum.kind == CHECKSUM_NONE)
        return error_set(e, STATUS_AGAIN, "cannot compute the SHA-256 of '%s'", m->name);
    checksum_show(&sum, hex);
    buf_printf(&m->text, "%s\n  \"%s\": {\"size\": %" PRIu64 ", \"sha256\": \"%s\"}", m->files++ ? "," : "", m->name,
               m->written, hex);
    return 0;
}

int marker_end(struct marker *m, struct error *e)
{
    buf_printf(&m->text, "\n}}\n");
    return m->text.failed ? error_set(e, STATUS_AGAIN, "out of memory for 'complete.json'") : 0;
}
