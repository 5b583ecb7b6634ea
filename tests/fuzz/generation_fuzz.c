/* tests/fuzz/generation_fuzz.c - any bytes as generation_config.json: what is read keeps to the model's ids */
#include <stdlib.h>

#include "cmd/shared/text/generation.h"

enum { VOCAB = 600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t why;
    json_t *own = json_load(span_of(data, size), &why), *config = json_object();
    struct generation g = { 0 };
    struct error e;
    if (json_is_object(own) && config && generation_read(&g, own, config, "generation_config.json", VOCAB, &e) == 0) {
        for (size_t i = 0; i < g.n_forced; i++)
            if (g.forced[i] >= VOCAB)
                abort();
        for (int i = 0; i < LANGUAGES; i++)
            if (g.language_id[i] >= VOCAB)
                abort();
        if (g.previous >= VOCAB || g.beams < 1 || g.language >= LANGUAGES || g.n_temperatures > TEMPERATURES)
            abort();
    }
    generation_release(&g);
    json_decref(own);
    json_decref(config);
    return 0;
}
