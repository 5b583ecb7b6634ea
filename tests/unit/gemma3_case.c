/* tests/unit/gemma3_case.c - see gemma3_case.h */
#include "tests/unit/gemma3_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

void gemma3_rows(struct batch *b, const struct safetensors *st, size_t which, const bool *use)
{
    const struct st_tensor *shape = safetensors_find(st, "attention_mask");
    int64_t *ids = golden_ints(st, "input_ids", NULL), *labels = golden_ints(st, "labels", NULL);
    int64_t *mask = golden_ints(st, "attention_mask", NULL);
    size_t rows = shape->shape[shape->rank - 2], seq = shape->shape[shape->rank - 1];
    int32_t *row = calloc(2 * seq, sizeof *row);
    char why[WHY] = "";
    if (batch_reserve(b, rows, rows * seq, 0, 0, why))
        ok(false, "batch: %s", why);
    for (size_t r = 0; r < rows; r++) {
        size_t n = 0, at = (which * rows + r) * seq;
        for (; n < seq && mask[at + n]; n++) {
            row[n] = (int32_t)ids[at + n];
            row[seq + n] = (int32_t)labels[at + n];
        }
        if ((!use || use[r]) && batch_add(b, row, row + seq, n, NULL, 0, 0, 0, r, why))
            ok(false, "batch: %s", why);
    }
    free(row);
    free(ids);
    free(labels);
    free(mask);
}

float *gemma3_packed(const float *want, const struct batch *b, size_t seq, size_t cols, size_t heads)
{
    float *flat = malloc(b->start[b->rows] * cols * sizeof *flat + 1);
    size_t h = heads ? heads : 1, d = cols / h;
    for (size_t r = 0; flat && r < b->rows; r++)
        for (size_t i = b->start[r]; i < b->start[r + 1]; i++)
            for (size_t k = 0; k < h; k++)
                memcpy(flat + i * cols + k * d, want + ((r * h + k) * seq + i - b->start[r]) * d, d * sizeof *flat);
    return flat;
}

float *gemma3_supervised(const float *nll, const struct batch *b, size_t seq, size_t *n)
{
    float *flat = malloc(b->start[b->rows] * sizeof *flat + 1);
    *n = 0;
    for (size_t r = 0; flat && r < b->rows; r++)
        for (size_t i = b->start[r] + 1; i < b->start[r + 1]; i++)
            if (b->labels[i] != -100)
                flat[(*n)++] = nll[r * seq + i - b->start[r]];
    return flat;
}

double gemma3_gradients(const struct model *m, const struct safetensors *st, const char *prefix, double tokens,
                        size_t *compared)
{
    double worst = 0;
    *compared = 0;
    for (size_t i = 0; i < m->params.n; i++) {
        const struct param *p = m->params.p[i];
        char name[300];
        size_t at;
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        if (!p->trained || !golden_has(st, name))
            continue;
        float *want = golden_f32(st, name, NULL);
        for (size_t k = 0; k < p->count; k++)
            want[k] *= (float)tokens;
        double e = scaled_error(p->grad, want, p->count, &at);
        worst = worse(worst, e);
        if (!(e <= 5e-5))
            printf("# %s: scaled error %.1e at %zu: got %.9g want %.9g\n", name, e, at, (double)p->grad[at],
                   (double)want[at]);
        free(want);
        (*compared)++;
    }
    return worst;
}
