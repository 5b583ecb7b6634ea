/* tests/fuzz/model_fuzz.c - any bytes as config.json and generation_config.json: a model, rules, or a reason */
#include <stdlib.h>
#include <string.h>

#include "kernels/models/generate/generate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[WHY] = "";
    struct rules r;
    struct model *m = model_new((const char *)data, size, why);
    if (!m && !why[0])
        abort();
    if (m && (!m->vocab || !m->output || !params_count(&m->params, false)))
        abort();
    model_free(m);
    why[0] = 0;
    if (rules_read(&r, (const char *)data, size, 600, why) == 0) {
        float logits[600] = { 0 };
        static const int32_t done[] = { 3, 599, 2 };
        rules_apply(&r, logits, 600, done, 3, true);
        rules_apply(&r, logits, 600, done, 0, true);
        rules_release(&r);
    } else if (!why[0]) {
        abort();
    }
    return 0;
}
