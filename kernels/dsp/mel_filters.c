/* kernels/dsp/mel_filters.c - the triangular filters of mel.h, and their sparse form */
#include "kernels/dsp/mel_filters.h"

#include <math.h>
#include <stdlib.h>

/* Slaney's scale: 3 mel every 200 Hz up to 1000 Hz (15 mel), from there 27 mel for each factor of 6.4. */
static double hertz_to_mel(double f)
{
    return f < 1000.0 ? f * 3.0 / 200.0 : 15.0 + log(f / 1000.0) * 27.0 / log(6.4);
}

static double mel_to_hertz(double mel)
{
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * log(6.4) / 27.0);
}

void mel_filter_row(const struct mel_shape *s, int band, double *weight)
{
    double top = hertz_to_mel(8000.0);
    double corner[3];
    for (int i = 0; i < 3; i++)
        corner[i] = mel_to_hertz(top * (band + i) / (s->bands + 1));
    for (int k = 0; k <= s->n_fft / 2; k++) {
        double f = (double)k * (s->rate / 2) / (s->n_fft / 2);
        double rise = (f - corner[0]) / (corner[1] - corner[0]);
        double fall = (corner[2] - f) / (corner[2] - corner[1]);
        double w = rise < fall ? rise : fall;
        weight[k] = w > 0 ? w * 2.0 / (corner[2] - corner[0]) : 0.0;
    }
}

int mel_filters_make(const struct mel_shape *s, struct mel_filters *f)
{
    size_t bins = (size_t)s->n_fft / 2 + 1, bands = (size_t)s->bands;
    double *row = malloc(bins * sizeof *row);
    /* A bin lies in two triangles at most. */
    f->weight = malloc(2 * bins * sizeof *f->weight);
    f->band = malloc(bands * sizeof *f->band);
    if (!row || !f->weight || !f->band) {
        free(row);
        mel_filters_release(f);
        return -1;
    }
    size_t used = 0;
    for (size_t b = 0; b < bands; b++) {
        mel_filter_row(s, (int)b, row);
        size_t first = 0, end = bins;
        while (first < bins && row[first] <= 0)
            first++;
        while (end > first && row[end - 1] <= 0)
            end--;
        f->band[b] = (struct mel_band){first < bins ? (int)first : 0, (int)(end - first), f->weight + used};
        for (size_t k = first; k < end && used < 2 * bins; k++)
            f->weight[used++] = (float)row[k];
    }
    free(row);
    return 0;
}

void mel_filters_release(struct mel_filters *f)
{
    free(f->weight);
    free(f->band);
    *f = (struct mel_filters){0};
}
