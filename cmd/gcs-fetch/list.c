/* cmd/gcs-fetch/list.c - see list.h */
#include "cmd/gcs-fetch/list.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/cli/text_out.h"
#include "libcommon/store/base64.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/text.h"

struct listing {
    struct text_out out;
    struct buf line;
    uint64_t n;
    struct error *error;
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
    if (l->line.failed)
        return error_memory(l->error);
    return text_out_put(&l->out, l->line.data, l->line.size, l->error);
}

int list_print(const char *prefix, const char *out)
{
    struct error e = { 0 }, late;
    struct listing l = { .error = &e };
    buf_init(&l.line, 1 << 20);
    int bad = text_out_open(&l.out, out, &e);
    if (!bad)
        bad = store_list(prefix, print_one, &l, &e);
    if (text_out_close(&l.out, bad ? &late : &e) < 0)
        bad = -1;
    buf_release(&l.line);
    if (!bad && l.n == 0)
        bad = error_set(&e, STATUS_BAD, "'%s': no objects there", prefix);
    if (bad && e.status != STATUS_OK)
        warn("%s", e.text);
    return bad ? e.status : STATUS_OK;
}
