/* tests/fuzz/json_fuzz.c - any bytes as a row: peeking for the id never contradicts the parser */
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"
#include "libcommon/format/json_peek.h"
#include "libcommon/stream/format/json_mp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size), value;
    json_error_t why;
    int seen = json_peek(text, "id", &value);
    json_t *row = json_load_row(text, &why);
    if (json_is_object(row) && size && data[0] != 0xef) {
        json_t *id = json_object_get(row, "id");
        if (seen == 0 && id)
            abort();
        if (seen == 1 && json_is_string(id) && (json_string_length(id) != value.size ||
                                                memcmp(json_string_value(id), value.data, value.size)))
            abort();
        if (seen == 1 && json_is_integer(id) && json_integer_value(id) != strtoll((const char *)value.data, NULL, 10))
            abort();
        if (seen == 1 && !json_is_string(id) && !json_is_integer(id))
            abort();
    }
    struct buf b;
    buf_init(&b, 16 << 20);
    if (row)
        json_to_mp(row, &b);
    buf_release(&b);
    json_decref(row);
    return 0;
}
