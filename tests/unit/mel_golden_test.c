/* tests/unit/mel_golden_test.c - log-mel features equal those of transformers' WhisperFeatureExtractor
 *
 * tests/golden/mel: features as stored, 1e-4 worst and 1e-6 mean; filters 1e-8. */
#include <stdlib.h>

#include "kernels/dsp/mel.h"
#include "libcommon/format/json.h"
#include "libcommon/format/safetensors.h"
#include "tests/unit/tap.h"

static struct safetensors expect, stages;

static const float *tensor(const struct safetensors *st, const char *name, uint64_t *rows, uint64_t *columns)
{
    const struct st_tensor *t = safetensors_find(st, name);
    if (!t || t->rank != 2)
        return NULL;
    float *v = malloc((size_t)st_count(t) * sizeof *v);
    struct error e;
    if (st_to_f32(t, v, &e) < 0) {
        free(v);
        return NULL;
    }
    *rows = t->shape[0];
    *columns = t->shape[1];
    return v;
}

static void filters_compare(int bands)
{
    const struct mel_shape shape = {16000, 400, 160, bands, 30};
    char why[WHY], name[32];
    struct mel *m = mel_new(&shape, kernels_choose(getenv("PENSTOCK_KERNELS")), why);
    snprintf(name, sizeof name, "filters%d", bands);
    uint64_t rows = 0, columns = 0;
    const float *want = tensor(&stages, name, &rows, &columns);
    double worst = want && rows == (uint64_t)bands && columns == 201 ? 0 : NAN;
    for (int b = 0; b < bands && !isnan(worst); b++) {
        float got[201];
        mel_filter(m, b, got);
        for (int k = 0; k < 201; k++) {
            double d = fabs((double)got[k] - (double)want[b * 201 + k]);
            worst = worse(worst, d);
        }
    }
    ok(worst <= 1e-8, "%s: worst %.1e (limit 1e-8)", name, worst);
    free((void *)want);
    mel_free(m);
}

/* The case's input: the WAV (16 bits, mono, a header of 44 bytes) repeated, then its first `take` samples. */
static float *input(const json_t *c, size_t *n)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/mel/%s", json_string_value(json_object_get(c, "wav")));
    struct file_map f;
    struct error e;
    if (file_map_open(path, &f, &e) < 0 || f.size < 46) {
        ok(false, "reads %s", path);
        return NULL;
    }
    *n = (size_t)json_integer_value(json_object_get(c, "take"));
    size_t have = (f.size - 44) / 2;
    float *x = malloc((*n + 1) * sizeof *x);
    for (size_t i = 0; i < *n; i++) {
        const uint8_t *p = f.data + 44 + 2 * (i % have);
        x[i] = (float)(int16_t)(uint16_t)(p[0] | p[1] << 8) / 32768.0f;
    }
    file_map_close(&f);
    return x;
}

static void features_compare(const char *name, const json_t *c, int bands)
{
    const struct mel_shape shape = {16000, 400, 160, bands, 30};
    char why[WHY] = "", key[64];
    const char *same = json_string_value(json_object_get(c, "same_as"));
    struct mel *m = mel_new(&shape, kernels_choose(getenv("PENSTOCK_KERNELS")), why);
    struct mel_scratch *s = mel_scratch_new(m);
    size_t n = 0;
    float *x = input(c, &n), padding = 0;
    size_t frames = mel_frames(m, n);
    float *got = malloc(((size_t)bands * frames + 1) * sizeof *got);
    ok(x && mel_compute(m, s, x, n, got, &padding, why) == 0, "%s, %d bands: computed %s", name, bands, why);

    snprintf(key, sizeof key, "%s.rows", same ? same : name);
    const struct st_tensor *rows = safetensors_find(&expect, key);
    const json_t *count = json_object_get(c, "count");
    is_int((long long)frames, count ? json_integer_value(count) : 3000, "as many frames as see sound");
    snprintf(key, sizeof key, "pad%d", bands);
    const json_t *pad = json_object_get(c, key);
    if (pad)
        ok(fabs((double)padding - json_number_value(pad)) <= 1e-4, "padding %g, want %g", (double)padding,
           json_number_value(pad));

    snprintf(key, sizeof key, "%s.mel%d", same ? same : name, bands);
    uint64_t b = 0, columns = 0;
    float *want = (float *)tensor(&expect, key, &b, &columns);
    if (frames) {
        double worst = want && b == (uint64_t)bands ? 0 : NAN, total = 0;
        for (size_t r = 0; r < (size_t)bands && !isnan(worst); r++)
            for (size_t i = 0; i < columns; i++) {
                int32_t at = (int32_t)i;
                if (rows)
                    memcpy(&at, rows->data.data + 4 * i, 4);
                double d = fabs((double)got[r * frames + (size_t)at] - (double)want[r * columns + i]);
                worst = worse(worst, d);
                total += d;
            }
        double mean = total / (double)(b * columns);
        ok(worst <= 1e-4 && mean <= 1e-6, "%s: worst %.1e (limit 1e-4), mean %.1e (limit 1e-6)", key, worst, mean);
    }
    free(want);
    free(got);
    free(x);
    mel_scratch_free(s);
    mel_free(m);
}

int main(void)
{
    struct error e;
    json_t *cases = json_read_file("tests/golden/mel/cases.json", &e);
    if (!ok(cases && safetensors_open("tests/golden/mel/expect.safetensors", &expect, &e) == 0 &&
                safetensors_open("tests/golden/mel/stages.safetensors", &stages, &e) == 0,
            "the golden files are read"))
        return done();
    const char *name;
    json_t *c;
    for (int bands = 80; bands <= 128; bands += 48) {
        filters_compare(bands);
        json_object_foreach(cases, name, c)
            features_compare(name, c, bands);
    }
    is_int((long long)json_object_size(cases), 10, "cases");
    json_decref(cases);
    safetensors_close(&expect);
    safetensors_close(&stages);
    return done();
}
