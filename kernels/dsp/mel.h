/* kernels/dsp/mel.h - Whisper's log-mel features
 *
 * A periodic Hann window of n_fft samples every hop samples, centred, the sound
 * reflected at both ends of the model's length; squared magnitudes of its
 * spectrum; triangular filters of equal area on Slaney's mel scale (M. Slaney,
 * Auditory Toolbox, 1998, technical report 10); log10 of at least 1e-10; raised
 * to the clip's own largest value - 8; (x + 4) / 4.
 *
 * A clip is heard as if silence followed it up to the model's length.  Only the
 * frames that see sound are computed: all later ones hold one value, `padding`,
 * which depends on the clip's loudest frame.
 *
 * The same bits for any batch and any thread: one FFT plan, made without
 * measuring, on blocks of frames that the frame's number alone decides.  All
 * variants do the same operations in the same order, so that hosts differ only
 * where FFTW takes other code for the processor; with "ref" it may not. */
#ifndef PENSTOCK_MEL_H
#define PENSTOCK_MEL_H

#include "kernels/linalg/compute.h"

enum { MEL_RATE_MAX = 768000, MEL_FFT_MAX = 16384, MEL_BANDS_MAX = 1024 };

struct mel_shape {
    int rate;                   /* Hz */
    int n_fft;                  /* samples of a window; even */
    int hop;                    /* samples from frame to frame */
    int bands;                  /* 80 or 128 */
    double seconds;             /* the model's length: 30 */
};

struct mel;                     /* read-only once made: threads may share it */
struct mel_scratch;             /* one a thread */

/* variant: a table of kernels_choose().  NULL with the reason: a shape that makes
 * no sense, or out of memory.  Not reentrant: FFTW's planner is one for the process. */
struct mel *mel_new(const struct mel_shape *shape, const struct kernels *variant, char why[WHY]);
void mel_free(struct mel *m);
struct mel_scratch *mel_scratch_new(const struct mel *m);   /* NULL out of memory */
void mel_scratch_free(struct mel_scratch *s);

size_t mel_limit(const struct mel *m);                  /* samples of the model's length */
size_t mel_frames(const struct mel *m, size_t n);       /* frames that see n samples; 0 for none */

/* out [bands, mel_frames(m, n)], row-major; padding: the value of all later frames.
 * pcm: n samples in [-1, 1]; what lies beyond the model's length is not heard.
 * -1 with the reason: a sample that is no number or beyond 1e15 (out is unset then). */
int mel_compute(const struct mel *m, struct mel_scratch *s, const float *pcm, size_t n, float *out, float *padding,
                char why[WHY]);

/* The same of all of a sound, however long: one beyond the model's length is reflected at its
 * own end, raised to the largest value of all of it, and has n / hop frames. */
size_t mel_frames_whole(const struct mel *m, size_t n);
int mel_compute_whole(const struct mel *m, struct mel_scratch *s, const float *pcm, size_t n, float *out, float *padding,
                      char why[WHY]);

/* Row `band` of the filters: n_fft / 2 + 1 weights (1 / Hz).  For tests and the curious. */
void mel_filter(const struct mel *m, int band, float *weights);

#endif
