/* tests/unit/mel_test.c - log-mel features against a slow transform in double precision */
#include "kernels/dsp/mel.h"

#include <stdlib.h>

#include "tests/unit/tap.h"

static const double pi = 3.14159265358979323846;

/* The same definition, written out: every sum in double, every bin a sum over the window. */
static void features_slow(const struct mel *m, const struct mel_shape *s, const float *pcm, size_t n, size_t frames,
                          double *out)
{
    size_t width = (size_t)s->n_fft, bins = width / 2 + 1, limit = mel_limit(m);
    float *weight = malloc(bins * sizeof *weight);
    double *power = malloc(bins * sizeof *power), *x = malloc(width * sizeof *x), largest = -10;
    for (size_t t = 0; t < frames; t++) {
        for (size_t i = 0; i < width; i++) {
            long at = labs((long)(t * (size_t)s->hop + i) - (long)(width / 2));
            if (at >= (long)limit)
                at = 2 * ((long)limit - 1) - at;
            double hann = 0.5 - 0.5 * cos(2 * pi * (double)i / (double)width);
            x[i] = at < (long)n ? hann * (double)pcm[at] : 0;
        }
        for (size_t k = 0; k < bins; k++) {
            double re = 0, im = 0;
            for (size_t i = 0; i < width; i++) {
                double angle = 2 * pi * (double)(k * i % width) / (double)width;
                re += x[i] * cos(angle);
                im -= x[i] * sin(angle);
            }
            power[k] = re * re + im * im;
        }
        for (int b = 0; b < s->bands; b++) {
            mel_filter(m, b, weight);
            double sum = 0;
            for (size_t k = 0; k < bins; k++)
                sum += (double)weight[k] * power[k];
            double v = log10(sum > 1e-10 ? sum : 1e-10);
            out[(size_t)b * frames + t] = v;
            largest = v > largest ? v : largest;
        }
    }
    for (size_t i = 0; i < (size_t)s->bands * frames; i++)
        out[i] = ((out[i] > largest - 8 ? out[i] : largest - 8) + 4) / 4;
    free(weight);
    free(power);
    free(x);
}

static void compare(const struct mel_shape *s, size_t n, const char *variant)
{
    char why[WHY] = "";
    struct mel *m = mel_new(s, kernels_choose(variant), why);
    if (!ok(m != NULL, "features of %d samples a window, %d bands (%s)", s->n_fft, s->bands, why))
        return;
    struct mel_scratch *scratch = mel_scratch_new(m);
    float *pcm = malloc((n + 1) * sizeof *pcm);
    for (size_t i = 0; i < n; i++)      /* a rising whistle over noise 34 dB below, fading in */
        pcm[i] = (float)((0.5 * sin(1e-4 * (double)i * (double)i) + 2e-2 * (rand() / (double)RAND_MAX - 0.5)) *
                         (double)i / (double)n);
    size_t frames = mel_frames(m, n), count = (size_t)s->bands * frames;
    float *got = malloc(count * sizeof *got), padding = 0;
    double *want = malloc(count * sizeof *want), worst = 0, total = 0;
    int rc = mel_compute(m, scratch, pcm, n, got, &padding, why);
    features_slow(m, s, pcm, n, frames, want);
    double lowest = 1e9;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - want[i]);
        worst = worse(worst, d);
        total += d;
        lowest = want[i] < lowest ? want[i] : lowest;
    }
    ok(rc == 0 && worst <= 1e-4 && total / (double)count <= 1e-6,
       "%s: n_fft %d, hop %d, %d bands, %zu samples: worst %.1e (limit 1e-4), mean %.1e (limit 1e-6)", variant, s->n_fft,
       s->hop, s->bands, n, worst, total / (double)count);
    ok((double)padding <= lowest + 1e-6, "later frames hold the floor (%g, lowest %g)", (double)padding, lowest);
    free(pcm);
    free(got);
    free(want);
    mel_scratch_free(scratch);
    mel_free(m);
}

static void variants_agree(void)
{
    static const char *const names[] = {"avx2", "avx512", "avx512bf16", "neon"};       /* ref has another FFT: compare() */
    const struct mel_shape whisper = {16000, 400, 160, 128, 30};
    size_t n = 50001;
    float *pcm = malloc(n * sizeof *pcm), *first = NULL;
    for (size_t i = 0; i < n; i++)
        pcm[i] = (float)(rand() % 2001 - 1000) / 1000;
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        if (!kernels_choose(names[v]))
            continue;
        char why[WHY];
        struct mel *m = mel_new(&whisper, kernels_choose(names[v]), why);
        struct mel_scratch *s = mel_scratch_new(m);
        size_t count = 128 * mel_frames(m, n);
        float *out = malloc(count * sizeof *out), padding;
        mel_compute(m, s, pcm, n, out, &padding, why);
        if (first)
            ok(memcmp(first, out, count * sizeof *out) == 0, "%s gives the bits of the variant before it", names[v]);
        if (first)
            free(out);
        else
            first = out;
        mel_scratch_free(s);
        mel_free(m);
    }
    free(first);
    free(pcm);
}

static void lengths(void)
{
    const struct mel_shape whisper = {16000, 400, 160, 80, 30};
    char why[WHY];
    struct mel *m = mel_new(&whisper, kernels_choose(NULL), why);
    struct mel_scratch *s = mel_scratch_new(m);
    is_int((long long)mel_limit(m), 480000, "30 s are 480,000 samples");
    bool good = mel_frames(m, 0) == 0;
    for (size_t n = 1; n < 600000; n += n < 1000 || n > 479000 ? 1 : 997) {
        size_t want = (n + 199) / 160 + 1;
        good = good && mel_frames(m, n) == (want < 3000 ? want : 3000);
    }
    ok(good, "frames are min(3000, floor((n + 199) / 160) + 1), none for no samples");

    float *pcm = calloc(600000, sizeof *pcm), *out = malloc(80 * 3000 * sizeof *out), padding = 0;
    is_int(mel_compute(m, s, pcm, 0, out, &padding, why), 0, "no samples are fine");
    ok(padding == -1.5f, "and every frame of theirs would hold -1.5 (got %g)", (double)padding);
    pcm[481000] = NAN;
    ok(mel_compute(m, s, pcm, 600000, out, &padding, why) == 0, "what lies beyond the model's length is not heard");
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e16f};
    for (size_t i = 0; i < 4; i++)
        for (size_t at = 0; at < 480000; at += 479999) {
            pcm[at] = bad[i];
            ok(mel_compute(m, s, pcm, 480000, out, &padding, why) == -1 && strstr(why, "not sound"),
               "a sample of %g at %zu is refused: %s", (double)bad[i], at, why);
            pcm[at] = 0;
        }
    for (size_t i = 0; i < 480000; i++)
        pcm[i] = i % 2 ? 1e15f : -1e15f;
    bool finite = mel_compute(m, s, pcm, 480000, out, &padding, why) == 0;
    for (size_t i = 0; i < 80 * 3000; i++)
        finite = finite && isfinite(out[i]);
    ok(finite, "the loudest sound that passes has finite features");
    free(pcm);
    free(out);
    mel_scratch_free(s);
    mel_free(m);
}

/* All of a sound beyond the model's length is what a model of the sound's own length hears. */
static void whole(void)
{
    enum { N = 50001, FRAMES = N / 160 };
    const struct mel_shape shape = {16000, 400, 160, 80, 2}, longer = {16000, 400, 160, 80, (double)N / 16000};
    char why[WHY];
    struct mel *m = mel_new(&shape, kernels_choose(NULL), why), *l = mel_new(&longer, kernels_choose(NULL), why);
    struct mel_scratch *s = mel_scratch_new(m);
    float *pcm = malloc(N * sizeof *pcm), *got = malloc(80 * FRAMES * sizeof *got),
          *want = malloc(80 * FRAMES * sizeof *want);
    float pad = 0, pad_want = 1;
    for (size_t i = 0; i < N; i++)
        pcm[i] = (float)(rand() % 2001 - 1000) / (i < N / 2 ? 100000 : 1000);
    is_int((long long)mel_limit(l), N, "a model of 50001 samples");
    ok(mel_frames_whole(m, N) == FRAMES && mel_frames(l, N) == FRAMES, "all of a long sound is one frame each 160 samples");
    ok(mel_compute_whole(m, s, pcm, N, got, &pad, why) == 0 && mel_compute(l, s, pcm, N, want, &pad_want, why) == 0 &&
       pad == pad_want && memcmp(got, want, 80 * FRAMES * sizeof *got) == 0, "the same as of a model of its length");
    ok(mel_compute_whole(m, s, pcm, 20000, got, &pad, why) == 0 &&
       mel_compute(m, s, pcm, 20000, want, &pad_want, why) == 0 &&
       mel_frames_whole(m, 20000) == mel_frames(m, 20000) && pad == pad_want &&
       memcmp(got, want, 80 * mel_frames(m, 20000) * sizeof *got) == 0, "and short sound as ever");
    free(pcm);
    free(got);
    free(want);
    mel_scratch_free(s);
    mel_free(l);
    mel_free(m);
}

static void shapes_refused(void)
{
    static const struct mel_shape bad[] = {
        {0, 400, 160, 80, 30}, {16000, 401, 160, 80, 30}, {16000, 0, 160, 80, 30}, {16000, 400, 0, 80, 30},
        {16000, 400, 401, 80, 30}, {16000, 400, 160, 0, 30}, {16000, 400, 160, 80, 0}, {16000, 400, 160, 80, NAN},
        {16000, 400, 160, 80, 0.001}, {16000, 1 << 30, 160, 80, 30}, {16000, 400, 160, 1 << 30, 30},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[WHY] = "";
        ok(!mel_new(&bad[i], kernels_choose(NULL), why) && *why, "refused: %s", why);
    }
}

/* Of transformers' mel_filter_bank, which goes to 8000 Hz whatever the rate, and spaces bins by whole numbers. */
static void test_filters(void)
{
    static const struct { struct mel_shape shape; int band; size_t bin; double want; } some[] = {
        { { 8000, 400, 160, 40, 30 }, 21, 100, 0.00194288038 }, { { 8000, 400, 160, 40, 30 }, 31, 199, 0.00258022817 },
        { { 8000, 400, 160, 40, 30 }, 12, 41, 0 }, { { 22051, 512, 160, 40, 30 }, 2, 6, 0.0066294152 },
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char why[WHY] = "";
        float weight[257];
        struct mel *m = mel_new(&some[i].shape, kernels_choose("ref"), why);
        if (!ok(m != NULL, "filters at %d Hz %s", some[i].shape.rate, why))
            continue;
        mel_filter(m, some[i].band, weight);
        ok(fabs((double)weight[some[i].bin] - some[i].want) <= 1e-8,
           "band %d weighs bin %zu by %g", some[i].band, some[i].bin,
           (double)weight[some[i].bin]);
        mel_free(m);
    }
}

int main(void)
{
    srand(1);
    const struct mel_shape whisper = {16000, 400, 160, 80, 30}, v3 = {16000, 400, 160, 128, 30},
                           brief = {16000, 400, 160, 80, 0.5}, odd = {8000, 202, 67, 20, 1}, tiny = {16000, 6, 4, 2, 0.01};
    static const char *const names[] = {"ref", "avx2", "avx512", "neon"};
    for (size_t v = 0; v < sizeof names / sizeof *names; v++)
        if (kernels_choose(names[v])) {
            compare(&whisper, 3000, names[v]);
            compare(&v3, 1, names[v]);
            compare(&brief, 8000, names[v]);
            compare(&brief, 7900, names[v]);
            compare(&odd, 8000, names[v]);
            compare(&tiny, 150, names[v]);
        }
    test_filters();
    variants_agree();
    lengths();
    whole();
    shapes_refused();
    return done();
}
