/* tests/fuzz/split_fuzz.c - any bytes as a row of segments: as many pieces as were counted, in order */
#include <stdlib.h>

#include "libcommon/format/json.h"
#include "libcommon/manifest/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = { "text", "sentence", NULL };
    const struct split split = { 30, "id", "duration", texts };
    json_error_t why;
    struct error e;
    json_t *row = json_load(span_of(data, size), &why);
    int64_t n = json_is_object(row) ? split_count(&split, row, &e) : 0;
    size_t segments = 0;
    for (int64_t k = 0; k < n && k < 100; k++) {
        json_t *piece = json_copy(row);
        if (!piece || split_piece(&split, piece, (size_t)k, "row", &e) < 0)
            abort();
        segments += json_array_size(json_object_get(piece, "segments"));
        json_decref(piece);
    }
    if (n > 0 && n < 100 && segments != json_array_size(json_object_get(row, "segments")))
        abort();
    json_decref(row);
    return 0;
}
