/* cmd/gcs-fetch/list.c - see list.h */
#include "cmd/gcs-fetch/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/base64.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/text.h"

struct listing {
    FILE *to;
    struct buf line;
    uint64_t n;
};

static void crc_put(struct buf *b, uint32_t crc)
{
    const uint8_t bytes[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc };
    char *text = base64_make(bytes, 4, false);
    buf_printf(b, ", \"crc32c\": \"%s\"", text ? text : "");
    free(text);
}

/* The name within its bucket, which is what rows are called. */
static const char *name_of(const char *url)
{
    const char *at = strstr(url, "://"), *slash = at ? strchr(at + 3, '/') : NULL;
    return slash ? slash + 1 : url;
}

static int print_one(void *ctx, const char *url, const struct object_info *i)
{
    struct listing *l = ctx;
    const char *name = name_of(url);
    buf_clear(&l->line);
    buf_printf(&l->line, "{\"id\": ");
    text_put_json(&l->line, name, strlen(name));
    buf_printf(&l->line, ", \"name\": ");
    text_put_json(&l->line, name, strlen(name));
    buf_printf(&l->line, ", \"path\": ");
    text_put_json(&l->line, url, strlen(url));
    buf_printf(&l->line, ", \"size\": %llu, \"generation\": \"%llu\"", (unsigned long long)i->size,
               (unsigned long long)i->generation);
    if (i->has_crc32c)
        crc_put(&l->line, i->crc32c);
    buf_printf(&l->line, "}\n");
    l->n++;
    return l->line.failed || fwrite(l->line.data, 1, l->line.size, l->to) != l->line.size ? -1 : 0;
}

int list_print(const char *prefix, const char *out)
{
    struct error e = { 0 };
    struct listing l = { .to = stdout };
    if (out && strcmp(out, "-") && !(l.to = fopen(out, "w"))) {
        warn("cannot write '%s': %s", out, strerror(errno));
        return error_errno_status(errno);
    }
    buf_init(&l.line, 1 << 20);
    int bad = store_list(prefix, print_one, &l, &e);
    buf_release(&l.line);
    if (fflush(l.to) != 0 || (bad && !e.status))
        bad = error_set(&e, errno == EPIPE ? STATUS_OK : STATUS_AGAIN, "cannot write the listing: %s", strerror(errno));
    if (l.to != stdout)
        fclose(l.to);
    if (!bad && l.n == 0)
        bad = error_set(&e, STATUS_BAD, "'%s': no objects there", prefix);
    if (bad && e.status)
        warn("%s", e.text);
    return bad ? e.status : STATUS_OK;
}
