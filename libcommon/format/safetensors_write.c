/* libcommon/format/safetensors_write.c - the header of a safetensors file that is to be written */
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/format/safetensors.h"

static int entry_append(const struct st_tensor *t, uint64_t *offset, struct buf *b, struct error *e)
{
    json_t *name = json_string(t->name);
    char *text = name ? json_dumps(name, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    json_decref(name);
    if (!text)
        return error_set(e, STATUS_BAD, "tensor name '%s' is no UTF-8", t->name);
    buf_printf(b, ",%s:{\"dtype\":\"%s\",\"shape\":[", text, st_dtype_name(t->dtype));
    free(text);
    for (int i = 0; i < t->rank; i++)
        buf_printf(b, "%s%llu", i ? "," : "", (unsigned long long)t->shape[i]);
    uint64_t end = *offset + st_count(t) * st_item_size(t->dtype);
    buf_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*offset, (unsigned long long)end);
    *offset = end;
    return 0;
}

int safetensors_header(const struct st_tensor *t, size_t n, struct buf *header, struct error *e)
{
    size_t start = header->size;
    uint64_t offset = 0;
    if (!buf_extend(header, 8))
        return error_memory(e);
    buf_printf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++)
        if (entry_append(&t[i], &offset, header, e) < 0)
            return -1;
    buf_append(header, "}", 1);
    while (!header->failed && (header->size - start) % 8)
        buf_append(header, " ", 1);
    if (header->failed)
        return error_memory(e);
    uint64_t length = header->size - start - 8;
    for (int i = 0; i < 8; i++)
        header->data[start + (size_t)i] = (uint8_t)(length >> 8 * i);
    return 0;
}
