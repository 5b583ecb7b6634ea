/* kernels/dsp/resample.h - a stream of samples at one rate to samples at another, by libsoxr */
#ifndef PENSTOCK_RESAMPLE_H
#define PENSTOCK_RESAMPLE_H

#include "kernels/linalg/compute.h"

struct samples {                /* samples that grow up to a maximum */
    float *v;
    size_t n, room, max;
};

struct resampler;
/* from == to: samples pass unchanged.  NULL with the reason. */
struct resampler *resampler_new(int from, int to, char why[WHY]);
void resampler_free(struct resampler *r);
/* Takes n samples and appends what is ready; n 0 ends the stream: appends the
 * rest.  About total x to / from samples come out in all, without delay.
 * -1 with the reason: out of memory, or `out` would hold more than out->max. */
int resampler_push(struct resampler *r, const float *x, size_t n, struct samples *out, char why[WHY]);

#endif
