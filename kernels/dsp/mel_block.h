/* kernels/dsp/mel_block.h - the parts of mel features that gain from wide registers
 *
 * Their text is mel_block.inc: plain loops over the frames of a block, compiled
 * once for each instruction set.  No sum is regrouped and nothing is fused, so
 * every variant gives the same bits. */
#ifndef PENSTOCK_MEL_BLOCK_H
#define PENSTOCK_MEL_BLOCK_H

#include <stddef.h>

enum { MEL_LANES = 16 };        /* frames of a block: side by side in memory behind the FFT */

struct mel_band {               /* one triangular filter: where it is not 0 */
    int first, count;           /* bins of the spectrum */
    const float *weight;        /* count of them */
};

struct mel_kernel {
    /* y[i] = w[i] x[i] for n samples. */
    void (*window)(float *y, const float *w, const float *x, size_t n);
    /* z: [half, MEL_LANES] complex, spectra of the samples in pairs (even + i odd)
     * halved; twiddle: [half / 2 + 1] complex, exp(-i pi k / half).
     * power: [half + 1, MEL_LANES], squared magnitudes of the real transform. */
    void (*power)(float *power, const float *z, const float *twiddle, size_t half);
    /* out[band * stride + frame] = log10(max(1e-10, band's sum)), frames <= MEL_LANES.  Returns the largest. */
    float (*bands)(float *out, size_t stride, size_t frames, const struct mel_band *band, size_t bands, const float *power);
    /* x = (max(x, floor) + 4) / 4 */
    void (*finish)(float *x, size_t n, float floor);
    /* 1 if every |x| <= limit; NaN is not. */
    int (*within)(const float *x, size_t n, float limit);
};

extern const struct mel_kernel mel_kernel_ref, mel_kernel_avx2, mel_kernel_avx512;

#endif
