/* kernels/dsp/sound.h - the bytes of a sound file to float32 mono samples
 *
 * Whatever libsndfile reads (WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, AU, CAF ...),
 * from memory; channels are averaged, and libsoxr resamples to the rate asked for
 * (its "HQ": flat to 0.91 of the lower Nyquist frequency, aliases below 100 dB).
 * Memory is bounded by what is asked for, not by what a header claims. */
#ifndef PENSTOCK_SOUND_H
#define PENSTOCK_SOUND_H

#include "kernels/linalg/compute.h"

struct sound_want {
    int rate;                   /* Hz of the result: 1000 to 768000 */
    double max_seconds;         /* longer sound is refused */
    double offset, duration;    /* seconds to skip, and to take; duration 0: to the end */
};

struct sound {
    float *pcm;                 /* n samples at the rate asked for, full scale [-1, 1]; malloc'd: sound_release */
    size_t n;
    double seconds;             /* of the part taken, by the file's own rate */
    int file_rate, file_channels;
};

/* 0, or -1 with the reason: not a sound file, cut short, no samples, samples that
 * are no numbers, a window beyond the end, too long, out of memory.  bytes are borrowed. */
int sound_decode(const void *bytes, size_t size, const struct sound_want *want, struct sound *s, char why[WHY]);
void sound_release(struct sound *s);

#endif
