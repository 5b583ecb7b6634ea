/* libcommon/format/json.c - see json.h */
#include "libcommon/format/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/sys/file.h"

enum { JSON_FILE_MAX = 512 << 20 };
#define JSON_FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* Whole numbers that no int64 holds are legal JSON, and jansson refuses them.  In a configuration a
 * fraction makes them reals (Hugging Face writes "model_max_length": 1000000000000000019884624838656);
 * in a row, where they are somebody's keys, quotes keep each digit. */
static bool too_long(struct span number)
{
    char digits[24];
    if (number.size >= sizeof digits)
        return true;
    memcpy(digits, number.data, number.size);
    digits[number.size] = 0;
    errno = 0;
    (void)strtoll(digits, NULL, 10);
    return errno == ERANGE;
}

static void number_copy(struct span number, bool whole, bool row, struct buf *to)
{
    bool change = whole && too_long(number);
    if (change && row)
        buf_append(to, "\"", 1);
    buf_append(to, number.data, number.size);
    if (change)
        buf_append(to, row ? "\"" : ".0", row ? 1 : 2);
}

static void long_integers_change(struct span text, bool row, struct buf *to)
{
    bool in_string = false;
    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.data[i];
        if (in_string || !(isdigit(c) || c == '-')) {
            size_t n = in_string && c == '\\' && i + 1 < text.size ? 2 : 1;
            if (c == '"')
                in_string = !in_string;
            buf_append(to, text.data + i, n);
            i += n;
            continue;
        }
        size_t start = i++;
        bool whole = true;
        for (; i < text.size && text.data[i] && strchr("0123456789.eE+-", text.data[i]); i++)
            whole &= isdigit(text.data[i]) != 0;
        number_copy(span_of(text.data + start, i - start), whole, row, to);
    }
}

static json_t *load(struct span text, bool row, json_error_t *why)
{
    if (text.size >= 3 && !memcmp(text.data, "\xef\xbb\xbf", 3))
        text = span_of(text.data + 3, text.size - 3);
    const char *bytes = text.size ? (const char *)text.data : "";
    json_t *j = json_loadb(bytes, text.size, JSON_FLAGS, why);
    if (!j && json_error_code(why) == json_error_numeric_overflow) {
        struct buf again;
        buf_init(&again, JSON_FILE_MAX);
        long_integers_change(text, row, &again);
        if (!again.failed)
            j = json_loadb((const char *)again.data, again.size, JSON_FLAGS, why);
        buf_release(&again);
    }
    return j;
}

json_t *json_load(struct span text, json_error_t *why) { return load(text, false, why); }
json_t *json_load_row(struct span text, json_error_t *why) { return load(text, true, why); }

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
        error_memory(e);
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
