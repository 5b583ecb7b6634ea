/* tests/fuzz/safetensors_fuzz.c - any bytes as a safetensors file: refused, or every byte of every tensor is there */
#include <stdlib.h>

#include "libcommon/format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors st;
    struct error e;
    if (safetensors_parse(span_of(data, size), &st, &e) < 0)
        return 0;
    static volatile uint8_t sum;
    for (size_t i = 0; i < st.n; i++) {
        const struct st_tensor *t = &st.tensor[i];
        if (t->data.size != st_count(t) * st_item_size(t->dtype) || safetensors_find(&st, t->name) != t)
            abort();
        for (size_t j = 0; j < t->data.size; j++)
            sum = (uint8_t)(sum + t->data.data[j]);
        float *to = malloc((size_t)st_count(t) * sizeof *to + 1);
        if (to)
            st_to_f32(t, to, &e);
        free(to);
    }
    safetensors_close(&st);
    return 0;
}
