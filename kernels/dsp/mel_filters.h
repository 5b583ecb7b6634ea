/* kernels/dsp/mel_filters.h - the triangular filters of mel.h, and their sparse form */
#ifndef PENSTOCK_MEL_FILTERS_H
#define PENSTOCK_MEL_FILTERS_H

#include "kernels/dsp/mel.h"
#include "kernels/dsp/mel_block.h"

struct mel_filters {
    float *weight;              /* all bands' weights, one after another */
    struct mel_band *band;      /* shape.bands of them, pointing there */
};

/* weight[n_fft / 2 + 1] of one band, 1 / Hz: a triangle of area 1 over Hz, its
 * corners evenly spaced in mel from 0 to 8000 Hz, as transformers has them at every
 * rate: below 16 kHz the highest bands see nothing. */
void mel_filter_row(const struct mel_shape *s, int band, double *weight);

int mel_filters_make(const struct mel_shape *s, struct mel_filters *f);     /* -1 out of memory */
void mel_filters_release(struct mel_filters *f);

#endif
