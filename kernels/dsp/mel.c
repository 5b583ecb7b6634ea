/* kernels/dsp/mel.c - see mel.h
 *
 * A block of MEL_LANES frames at a time: each frame is windowed into a row of
 * its own, read as n_fft / 2 complex numbers (a real transform for half the
 * work), and one FFTW plan transforms all rows, writing them transposed, so that
 * everything behind it runs along the frames of the block (mel_block.h). */
#include "kernels/dsp/mel.h"

#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dsp/mel_block.h"
#include "kernels/dsp/mel_filters.h"
#include "kernels/linalg/dispatch.h"

static const float loudest = 1e15f;     /* (n_fft x loudest)^2 is still a float */

struct mel {
    struct mel_shape shape;
    size_t limit, frames;       /* samples and frames of the model's length */
    const struct mel_kernel *kernel;
    fftwf_plan plan;
    float *window;              /* [n_fft], halved: see mel_block.h */
    float *twiddle;             /* [n_fft / 4 + 1] complex */
    struct mel_filters filters;
};

struct mel_scratch {
    float *rows;                /* [MEL_LANES, n_fft] windowed samples */
    float *spectra;             /* [n_fft / 2, MEL_LANES] complex */
    float *power;               /* [n_fft / 2 + 1, MEL_LANES] */
    float *edge;                /* [n_fft]: samples of a frame that leaves the sound */
};

static int shape_check(const struct mel_shape *s, char why[WHY])
{
    const char *what = NULL;
    if (s->rate < 1000 || s->rate > MEL_RATE_MAX)
        what = "the sampling rate must be 1000 to 768000 Hz";
    else if (s->n_fft < 4 || s->n_fft > MEL_FFT_MAX || s->n_fft % 2)
        what = "n_fft must be even, 4 to 16384";
    else if (s->hop < 1 || s->hop > s->n_fft)
        what = "the hop must be 1 to n_fft samples";
    else if (s->bands < 1 || s->bands > MEL_BANDS_MAX)
        what = "the number of mel bands must be 1 to 1024";
    else if (!(s->seconds > 0 && s->seconds <= 86400))
        what = "the length must be up to 86400 s";
    else if (s->seconds * s->rate < s->n_fft)
        what = "the length is less than one window";
    if (what)
        snprintf(why, WHY, "%s (rate %d, n_fft %d, hop %d, %d bands, %g s)", what, s->rate, s->n_fft, s->hop, s->bands,
                 s->seconds);
    return what ? -1 : 0;
}

static void tables_fill(struct mel *m)
{
    const double pi = acos(-1.0);
    size_t n = (size_t)m->shape.n_fft, half = n / 2;
    for (size_t i = 0; i < n; i++)
        m->window[i] = (float)(0.5 * (0.5 - 0.5 * cos(2 * pi * (double)i / (double)n)));
    for (size_t k = 0; k <= half / 2; k++) {
        m->twiddle[2 * k] = (float)cos(pi * (double)k / (double)half);
        m->twiddle[2 * k + 1] = (float)-sin(pi * (double)k / (double)half);
    }
}

/* plain: without what only some processors have, so that hosts of one architecture agree. */
static fftwf_plan plan_make(const struct mel *m, struct mel_scratch *s, bool plain)
{
    int half = m->shape.n_fft / 2;
    return fftwf_plan_many_dft(1, &half, MEL_LANES, (fftwf_complex *)s->rows, NULL, 1, half, (fftwf_complex *)s->spectra,
                               NULL, MEL_LANES, 1, FFTW_FORWARD, FFTW_ESTIMATE | (plain ? FFTW_NO_SIMD : 0));
}

struct mel *mel_new(const struct mel_shape *shape, const struct kernels *variant, char why[WHY])
{
    if (shape_check(shape, why) < 0)
        return NULL;
    struct mel *m = calloc(1, sizeof *m);
    if (!m) {
        snprintf(why, WHY, "out of memory");
        return NULL;
    }
    m->shape = *shape;
    m->limit = (size_t)llround(shape->seconds * shape->rate);
    m->frames = m->limit / (size_t)shape->hop;
    m->kernel = variant->mel;
    size_t n = (size_t)shape->n_fft;
    m->window = fftwf_malloc(n * sizeof *m->window);
    m->twiddle = fftwf_malloc((n / 4 + 1) * 2 * sizeof *m->twiddle);
    struct mel_scratch *s = mel_scratch_new(m);
    bool made = m->window && m->twiddle && s && mel_filters_make(shape, &m->filters) == 0;
    if (made) {
        tables_fill(m);
        m->plan = plan_make(m, s, variant == kernels_choose("ref"));
    }
    mel_scratch_free(s);
    if (!m->plan) {
        snprintf(why, WHY, "out of memory, or FFTW makes no plan for %d samples", shape->n_fft);
        mel_free(m);
        return NULL;
    }
    return m;
}

void mel_free(struct mel *m)
{
    if (!m)
        return;
    if (m->plan)
        fftwf_destroy_plan(m->plan);
    fftwf_free(m->window);
    fftwf_free(m->twiddle);
    mel_filters_release(&m->filters);
    free(m);
}

struct mel_scratch *mel_scratch_new(const struct mel *m)
{
    size_t n = (size_t)m->shape.n_fft;
    struct mel_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->rows = fftwf_malloc(n * MEL_LANES * sizeof *s->rows);
    s->spectra = fftwf_malloc(n * MEL_LANES * sizeof *s->spectra);
    s->power = fftwf_malloc((n / 2 + 1) * MEL_LANES * sizeof *s->power);
    s->edge = fftwf_malloc(n * sizeof *s->edge);
    if (!s->rows || !s->spectra || !s->power || !s->edge) {
        mel_scratch_free(s);
        return NULL;
    }
    return s;
}

void mel_scratch_free(struct mel_scratch *s)
{
    if (!s)
        return;
    fftwf_free(s->rows);
    fftwf_free(s->spectra);
    fftwf_free(s->power);
    fftwf_free(s->edge);
    free(s);
}

size_t mel_limit(const struct mel *m) { return m->limit; }

/* Frame t sees the samples from hop t - n_fft / 2 up to, not including, hop t + n_fft / 2. */
size_t mel_frames(const struct mel *m, size_t n)
{
    if (!n)
        return 0;
    if (n > m->limit)
        n = m->limit;
    size_t frames = (n + (size_t)m->shape.n_fft / 2 - 1) / (size_t)m->shape.hop + 1;
    return frames < m->frames ? frames : m->frames;
}

void mel_filter(const struct mel *m, int band, float *weights)
{
    const struct mel_band *b = &m->filters.band[band];
    memset(weights, 0, ((size_t)m->shape.n_fft / 2 + 1) * sizeof *weights);
    memcpy(weights + b->first, b->weight, (size_t)b->count * sizeof *weights);
}

size_t mel_frames_whole(const struct mel *m, size_t n) { return n > m->limit ? n / (size_t)m->shape.hop : mel_frames(m, n); }

/* A sound, and the length at whose ends it is reflected: the model's, or its own. */
struct clip { const float *pcm; size_t n, length; };

/* Where sample i of the endless sound lies. */
static float sample_at(const struct clip *c, ptrdiff_t i)
{
    ptrdiff_t limit = (ptrdiff_t)c->length;
    if (i < 0)
        i = -i;
    if (i >= limit)
        i = 2 * (limit - 1) - i;
    return i < (ptrdiff_t)c->n ? c->pcm[i] : 0.0f;
}

static void block_window(const struct mel *m, struct mel_scratch *s, const struct clip *c, size_t t0, size_t count)
{
    size_t width = (size_t)m->shape.n_fft;
    for (size_t f = 0; f < count; f++) {
        ptrdiff_t start = (ptrdiff_t)((t0 + f) * (size_t)m->shape.hop) - (ptrdiff_t)(width / 2);
        const float *from = s->edge;
        if (start >= 0 && (size_t)start + width <= c->n)
            from = c->pcm + start;
        else
            for (size_t i = 0; i < width; i++)
                s->edge[i] = sample_at(c, start + (ptrdiff_t)i);
        m->kernel->window(s->rows + f * width, m->window, from, width);
    }
    memset(s->rows + count * width, 0, (MEL_LANES - count) * width * sizeof *s->rows);
}

static int clip_compute(const struct mel *m, struct mel_scratch *s, const struct clip *c, size_t frames, float *out,
                        float *padding, char why[WHY])
{
    if (!m->kernel->within(c->pcm, c->n, loudest)) {
        size_t i = 0;
        while (i + 1 < c->n && fabsf(c->pcm[i]) <= loudest)
            i++;
        snprintf(why, WHY, "sample %zu is %g: not sound", i, (double)c->pcm[i]);
        return -1;
    }
    size_t bands = (size_t)m->shape.bands;
    float largest = -10.0f;
    for (size_t t = 0; t < frames; t += MEL_LANES) {
        size_t count = frames - t < MEL_LANES ? frames - t : MEL_LANES;
        block_window(m, s, c, t, count);
        fftwf_execute_dft(m->plan, (fftwf_complex *)s->rows, (fftwf_complex *)s->spectra);
        m->kernel->power(s->power, s->spectra, m->twiddle, (size_t)m->shape.n_fft / 2);
        float most = m->kernel->bands(out + t, frames, count, m->filters.band, bands, s->power);
        if (most > largest)
            largest = most;
    }
    float floor = largest - 8.0f;
    m->kernel->finish(out, bands * frames, floor);
    *padding = ((floor > -10.0f ? floor : -10.0f) + 4.0f) * 0.25f;
    return 0;
}

int mel_compute(const struct mel *m, struct mel_scratch *s, const float *pcm, size_t n, float *out, float *padding,
                char why[WHY])
{
    struct clip c = { pcm, n < m->limit ? n : m->limit, m->limit };
    return clip_compute(m, s, &c, mel_frames(m, n), out, padding, why);
}

int mel_compute_whole(const struct mel *m, struct mel_scratch *s, const float *pcm, size_t n, float *out, float *padding,
                      char why[WHY])
{
    struct clip c = { pcm, n, n > m->limit ? n : m->limit };
    return clip_compute(m, s, &c, mel_frames_whole(m, n), out, padding, why);
}
