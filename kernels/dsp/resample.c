/* kernels/dsp/resample.c - see resample.h */
#include "kernels/dsp/resample.h"

#include <soxr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct resampler {
    soxr_t soxr;                /* NULL: the rates are equal */
};

struct resampler *resampler_new(int from, int to, char why[WHY])
{
    struct resampler *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(why, WHY, "out of memory");
        return NULL;
    }
    if (from == to)
        return r;
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t run = soxr_runtime_spec(1);
    soxr_error_t e = NULL;
    r->soxr = soxr_create(from, to, 1, &e, &io, &quality, &run);
    if (!r->soxr || e) {
        snprintf(why, WHY, "cannot resample from %d to %d Hz: %s", from, to, e ? e : "out of memory");
        resampler_free(r);
        return NULL;
    }
    return r;
}

void resampler_free(struct resampler *r)
{
    if (r && r->soxr)
        soxr_delete(r->soxr);
    free(r);
}

/* Room for at least one sample more, at best for `want`. */
static int samples_reserve(struct samples *s, size_t want, char why[WHY])
{
    if (s->n < s->room && s->room - s->n >= want)
        return 0;
    if (s->n >= s->max) {
        snprintf(why, WHY, "longer than %zu samples", s->max);
        return -1;
    }
    size_t room = want > s->max - s->n ? s->max : s->n + want;
    if (room < s->room * 2)
        room = s->room * 2 < s->max ? s->room * 2 : s->max;
    float *v = realloc(s->v, room * sizeof *v);
    if (!v) {
        snprintf(why, WHY, "out of memory for %zu samples", room);
        return -1;
    }
    s->v = v;
    s->room = room;
    return 0;
}

int resampler_push(struct resampler *r, const float *x, size_t n, struct samples *out, char why[WHY])
{
    if (!r->soxr) {
        if (n && samples_reserve(out, n, why) < 0)
            return -1;
        if (n > out->room - out->n) {
            snprintf(why, WHY, "longer than %zu samples", out->max);
            return -1;
        }
        if (n)
            memcpy(out->v + out->n, x, n * sizeof *x);
        out->n += n;
        return 0;
    }
    for (size_t used = 0, made = 1; n ? used < n : made > 0;) {
        size_t took = 0;
        if (samples_reserve(out, 4096, why) < 0)
            return -1;
        soxr_error_t e = soxr_process(r->soxr, n ? x + used : NULL, n - used, &took, out->v + out->n,
                                      out->room - out->n, &made);
        if (e) {
            snprintf(why, WHY, "cannot resample: %s", e);
            return -1;
        }
        used += took;
        out->n += made;
    }
    return 0;
}
