/* tests/bench/mel_bench.c - log-mel features of a clip of 30 s: how many times real time on one core
 *
 * mel_bench [BANDS [ROUNDS]]; PENSTOCK_KERNELS forces a variant.  Prints the best round as one number. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/dsp/mel.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    const struct mel_shape shape = {16000, 400, 160, argc > 1 ? atoi(argv[1]) : 80, 30};
    int rounds = argc > 2 ? atoi(argv[2]) : 200;
    char why[WHY] = "no such variant here";
    const struct kernels *variant = kernels_choose(getenv("PENSTOCK_KERNELS"));
    struct mel *m = variant ? mel_new(&shape, variant, why) : NULL;
    struct mel_scratch *s = m ? mel_scratch_new(m) : NULL;
    size_t n = 480000;
    float *pcm = malloc(n * sizeof *pcm), *out = malloc((size_t)shape.bands * 3000 * sizeof *out), padding;
    if (!s || !pcm || !out) {
        fprintf(stderr, "mel_bench: %s\n", why);
        return 100;
    }
    for (size_t i = 0; i < n; i++)
        pcm[i] = (float)(0.3 * sin((double)i * 0.05) + 0.1 * (rand() / (double)RAND_MAX - 0.5));
    double best = 1e9;
    for (int i = 0; i < rounds; i++) {
        double t = now();
        if (mel_compute(m, s, pcm, n, out, &padding, why) < 0)
            return 100;
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("%.0f\n", 30 / best);
    free(pcm);
    free(out);
    mel_scratch_free(s);
    mel_free(m);
    return 0;
}
