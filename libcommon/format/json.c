/* libcommon/format/json.c - see json.h */
#include "libcommon/format/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/sys/file.h"

enum { JSON_FILE_MAX = 512 << 20 };
#define JSON_FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* Integers that no int64 holds are legal JSON, and Hugging Face writes one
 * ("model_max_length": 1000000000000000019884624838656).  jansson refuses them,
 * so they are given a fraction, which makes them reals. */
static void long_integers_to_reals(struct span text, struct buf *to)
{
    bool in_string = false;
    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.data[i];
        if (in_string || !isdigit(c)) {
            size_t n = in_string && c == '\\' && i + 1 < text.size ? 2 : 1;
            if (c == '"')
                in_string = !in_string;
            buf_append(to, text.data + i, n);
            i += n;
            continue;
        }
        size_t start = i, digits = 0;
        bool real = false;
        for (; i < text.size && strchr("0123456789.eE+-", text.data[i]) && text.data[i]; i++) {
            digits += isdigit(text.data[i]) != 0;
            real |= !isdigit(text.data[i]);
        }
        buf_append(to, text.data + start, i - start);
        if (!real && digits > 18)
            buf_append(to, ".0", 2);
    }
}

json_t *json_load(struct span text, json_error_t *why)
{
    if (text.size >= 3 && !memcmp(text.data, "\xef\xbb\xbf", 3))
        text = span_of(text.data + 3, text.size - 3);
    const char *bytes = text.size ? (const char *)text.data : "";
    json_t *j = json_loadb(bytes, text.size, JSON_FLAGS, why);
    if (!j && json_error_code(why) == json_error_numeric_overflow) {
        struct buf again;
        buf_init(&again, JSON_FILE_MAX);
        long_integers_to_reals(text, &again);
        if (!again.failed)
            j = json_loadb((const char *)again.data, again.size, JSON_FLAGS, why);
        buf_release(&again);
    }
    return j;
}

json_t *json_parse(struct span text, const char *name, struct error *e)
{
    json_error_t why;
    json_t *j = json_load(text, &why);
    if (!j)
        error_set(e, STATUS_BAD, "'%s' line %d: not JSON: %s", name, why.line, why.text);
    return j;
}

json_t *json_read_file(const char *path, struct error *e)
{
    struct buf b;
    buf_init(&b, JSON_FILE_MAX);
    json_t *j = NULL;
    if (file_read(path, &b, e) == 0)
        j = json_parse(span_of(b.data, b.size), path, e);
    buf_release(&b);
    return j;
}

json_t *json_read_in(const char *dir, const char *name, struct error *e)
{
    char *path = path_join(dir, name);
    if (!path) {
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    json_t *j = NULL;
    if (access(path, F_OK) < 0 && access(dir, F_OK) == 0) {
        if (e)
            e->status = 0;
    } else {
        j = json_read_file(path, e);
    }
    free(path);
    return j;
}
