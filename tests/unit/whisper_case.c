/* tests/unit/whisper_case.c - see whisper_case.h */
#include "tests/unit/whisper_case.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/rows.h"
#include "tests/unit/tap.h"

void whisper_rows(struct batch *b, const struct safetensors *inputs, const struct whisper_rows *w)
{
    char why[WHY] = "";
    size_t heard = w->heard ? w->heard : WHISPER_FRAMES;
    float *f = golden_f32(inputs, "input_features", NULL), *cut = malloc(WHISPER_BINS * heard * sizeof *cut);
    int64_t *labels = golden_ints(inputs, "labels", NULL), *ids = golden_ints(inputs, "decoder_input_ids", NULL);
    int64_t *lengths = golden_ints(inputs, "label_lengths", NULL);
    if (batch_reserve(b, WHISPER_CLIPS, WHISPER_CLIPS * WHISPER_WIDTH, WHISPER_BINS, WHISPER_FRAMES, why))
        ok(false, "room for a batch: %s", why);
    for (size_t r = w->first; r < w->end; r++) {
        int32_t row_ids[WHISPER_WIDTH], row_labels[WHISPER_WIDTH];
        for (size_t i = 0; i < WHISPER_WIDTH; i++) {
            row_ids[i] = (int32_t)ids[r * WHISPER_WIDTH + i];
            row_labels[i] = (int32_t)labels[r * WHISPER_WIDTH + i];
        }
        for (size_t i = 0; i < WHISPER_BINS; i++)
            memcpy(cut + i * heard, f + (r * WHISPER_BINS + i) * WHISPER_FRAMES, heard * sizeof *cut);
        if (batch_add(b, row_ids, row_labels, w->tokens ? w->tokens : (size_t)lengths[r], cut, WHISPER_BINS, heard,
                      w->padding, r, why))
            ok(false, "a row: %s", why);
    }
    free(f);
    free(cut);
    free(labels);
    free(ids);
    free(lengths);
}

void whisper_decoder_open(struct whisper_decoder *d, const struct compute *k, const char *weights, size_t rows)
{
    char path[100], why[WHY] = "";
    size_t n = 0;
    snprintf(path, sizeof path, WHISPER_CASE "%s", weights);
    d->m = golden_model(path);
    d->t = tape_new(k);
    snprintf(path, sizeof path, WHISPER_CASE "%s/generation_config.json", weights);
    char *text = rows_slurp(path, &n);
    ok(text && rules_read(&d->rules, text, n, d->m->vocab, why) == 0, "rules of '%s' %s", weights, why);
    ok(generator_open(&d->g, d->t, d->m, &d->rules, rows, 0, why) == 0, "room for %zu rows %s", rows, why);
    free(text);
}

void whisper_decoder_close(struct whisper_decoder *d)
{
    generator_close(&d->g);
    rules_release(&d->rules);
    tape_free(d->t);
    model_free(d->m);
}
