/* kernels/dsp/sound.c - see sound.h */
#include "kernels/dsp/sound.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dsp/resample.h"
#include "kernels/dsp/sound_mpeg.h"
#include "kernels/dsp/sound_whole.h"

enum { CHUNK = 4096, RATE_MIN = 1000, RATE_MAX = 768000 };      /* frames read at once; Hz */
enum { TYPE_MPEG = 0x230000 };  /* SF_FORMAT_MPEG, which libsndfile before 1.1 does not name */

/* A row may round its window: this much may lack at its end. */
static const double window_slack = 0.1;

/* --- a file in memory, for libsndfile ------------------------------------------ */
struct memory {                 /* one piece behind another */
    uint8_t head[MPEG_FRAME_MAX];
    sf_count_t head_size;
    const uint8_t *data;
    sf_count_t size, at;        /* of both pieces */
};

static sf_count_t memory_size(void *user) { return ((struct memory *)user)->size; }
static sf_count_t memory_tell(void *user) { return ((struct memory *)user)->at; }

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
    struct memory *m = user;
    sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->size;
    if (offset < -base || offset > m->size - base)
        return -1;
    return m->at = base + offset;
}

static sf_count_t memory_read(void *to, sf_count_t n, void *user)
{
    struct memory *m = user;
    sf_count_t taken = 0;
    while (taken < n && m->at < m->size) {
        bool head = m->at < m->head_size;
        sf_count_t left = (head ? m->head_size : m->size) - m->at, now = n - taken < left ? n - taken : left;
        memcpy((uint8_t *)to + taken, head ? m->head + m->at : m->data + (m->at - m->head_size), (size_t)now);
        m->at += now;
        taken += now;
    }
    return taken;
}

static sf_count_t memory_write(const void *from, sf_count_t n, void *user)
{
    (void)from, (void)n, (void)user;
    return 0;
}

static SF_VIRTUAL_IO memory_io = {memory_size, memory_seek, memory_read, memory_write, memory_tell};

/* --- decoding ------------------------------------------------------------------ */
struct decoder {
    const struct sound_want *want;
    SNDFILE *file;
    SF_INFO info;
    sf_count_t first, count;    /* frames of the window; count -1: to the end */
    struct resampler *resampler;
    float *frames;              /* [CHUNK, channels] as read */
    float *mono;                /* [CHUNK] */
    struct samples out;
};

/* libsndfile's words begin with "Error : " and end in a full stop, ours do not. */
static int refuse(char why[WHY], const char *what, const char *reason)
{
    if (strncmp(reason, "Error : ", 8) == 0)
        reason += 8;
    size_t n = strlen(reason);
    while (n && (reason[n - 1] == '.' || reason[n - 1] == '\n'))
        n--;
    snprintf(why, WHY, "%s: %.*s", what, (int)(n < 150 ? n : 150), reason);
    return -1;
}

/* MPEG audio that does not say how long it is gets a header frame that does. */
static int mpeg_prepare(struct memory *m, char why[WHY])
{
    struct mpeg_stream s;
    int rc = mpeg_walk(m->data, (size_t)m->size, &s, why);
    if (rc <= 0 || s.counted)
        return rc;
    m->head_size = (sf_count_t)mpeg_header_frame(&s, m->data, (size_t)m->size, m->head);
    if (m->head_size) {
        m->data += s.first;
        m->size += m->head_size - (sf_count_t)s.first;
    }
    return 0;
}

static int file_open(struct decoder *d, struct memory *m, char why[WHY])
{
    if (m->size == 0) {
        snprintf(why, WHY, "empty file");
        return -1;
    }
    if (sound_is_whole(m->data, (size_t)m->size, why) < 0 || mpeg_prepare(m, why) < 0)
        return -1;
    d->file = sf_open_virtual(&memory_io, SFM_READ, &d->info, m);
    if (!d->file)
        return refuse(why, "not a sound file that can be read", sf_strerror(NULL));
    if (d->info.channels < 1 || d->info.channels > 1024 || d->info.samplerate < RATE_MIN || d->info.samplerate > RATE_MAX) {
        snprintf(why, WHY, "its header makes no sense: %d channels at %d Hz", d->info.channels, d->info.samplerate);
        return -1;
    }
    return 0;
}

static int window_place(struct decoder *d, char why[WHY])
{
    const struct sound_want *w = d->want;
    double rate = d->info.samplerate, seconds = (double)d->info.frames / rate;
    bool known = d->info.frames < SF_COUNT_MAX;
    if (!(w->offset >= 0 && w->offset < 1e9) || !(w->duration >= 0 && w->duration < 1e9)) {
        snprintf(why, WHY, "a window of %g s from %g s makes no sense", w->duration, w->offset);
        return -1;
    }
    d->first = (sf_count_t)llround(w->offset * rate);
    d->count = w->duration > 0 ? (sf_count_t)llround(w->duration * rate) : -1;
    if (d->first > 0 && known && d->first >= d->info.frames) {
        snprintf(why, WHY, "offset %g s is beyond its end (%.3f s)", w->offset, seconds);
        return -1;
    }
    if (d->count >= 0 && known && w->offset + w->duration > seconds + window_slack) {
        snprintf(why, WHY, "a window of %g s from %g s goes beyond its end (%.3f s)", w->duration, w->offset, seconds);
        return -1;
    }
    double taken = d->count >= 0 ? w->duration : seconds - w->offset;
    if ((known || d->count >= 0) && taken > w->max_seconds) {
        snprintf(why, WHY, "%.1f s long by its header, over the limit of %g s", taken, w->max_seconds);
        return -1;
    }
    if (d->first > 0 && sf_seek(d->file, d->first, SEEK_SET) != d->first)
        return refuse(why, "cannot seek to the row's offset", sf_strerror(d->file));
    return 0;
}

/* The mean of the channels into d->mono; -1 if a sample is no number. */
static int downmix(struct decoder *d, size_t frames, sf_count_t at, char why[WHY])
{
    size_t channels = (size_t)d->info.channels;
    for (size_t i = 0; i < frames; i++) {
        float sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += d->frames[i * channels + c];
        if (!isfinite(sum)) {
            snprintf(why, WHY, "frame %lld holds a sample that is not a finite number", (long long)at + (long long)i);
            return -1;
        }
        d->mono[i] = channels > 1 ? sum / (float)channels : sum;
    }
    return 0;
}

/* Reads, mixes and resamples; *taken: frames read. */
static int frames_read(struct decoder *d, sf_count_t *taken, char why[WHY])
{
    sf_count_t got = 1;
    for (*taken = 0; got > 0 && *taken != d->count; *taken += got) {
        sf_count_t n = d->count < 0 || d->count - *taken > CHUNK ? CHUNK : d->count - *taken;
        got = sf_readf_float(d->file, d->frames, n);
        if (got <= 0)
            break;
        if (downmix(d, (size_t)got, d->first + *taken, why) < 0 ||
            resampler_push(d->resampler, d->mono, (size_t)got, &d->out, why) < 0)
            return -1;
    }
    if (sf_error(d->file))
        return refuse(why, "damaged", sf_strerror(d->file));
    return *taken ? resampler_push(d->resampler, NULL, 0, &d->out, why) : 0;
}

/* Fewer frames than the header said, beyond what a decoder may trim: cut or damaged. */
static int length_check(const struct decoder *d, sf_count_t taken, char why[WHY])
{
    sf_count_t promised = d->info.frames < SF_COUNT_MAX ? d->info.frames - d->first : taken;
    if (d->count >= 0 && promised > d->count)
        promised = d->count;
    sf_count_t slack = (d->info.format & SF_FORMAT_TYPEMASK) == TYPE_MPEG ? 2 * 1152 : 0;
    if (promised - taken > slack) {
        snprintf(why, WHY, "cut short or damaged: its header promises %lld frames, %lld can be decoded", (long long)promised,
                 (long long)taken);
        return -1;
    }
    if (!taken || !d->out.n) {
        snprintf(why, WHY, "no samples in it");
        return -1;
    }
    return 0;
}

static int decode(struct decoder *d, struct memory *m, struct sound *s, char why[WHY])
{
    if (file_open(d, m, why) < 0 || window_place(d, why) < 0)
        return -1;
    int to = d->want->rate;
    d->out.max = (size_t)(d->want->max_seconds * to) + (size_t)to;
    d->frames = malloc((size_t)CHUNK * (size_t)d->info.channels * sizeof *d->frames);
    d->mono = malloc(CHUNK * sizeof *d->mono);
    if (!d->frames || !d->mono) {
        snprintf(why, WHY, "out of memory");
        return -1;
    }
    d->resampler = resampler_new(d->info.samplerate, to, why);
    sf_count_t taken = 0;
    if (!d->resampler || frames_read(d, &taken, why) < 0 || length_check(d, taken, why) < 0)
        return -1;
    double seconds = (double)taken / d->info.samplerate;
    if (seconds > d->want->max_seconds) {
        snprintf(why, WHY, "%.1f s long, over the limit of %g s", seconds, d->want->max_seconds);
        return -1;
    }
    *s = (struct sound){d->out.v, d->out.n, seconds, d->info.samplerate, d->info.channels};
    d->out.v = NULL;
    return 0;
}

int sound_decode(const void *bytes, size_t size, const struct sound_want *want, struct sound *s, char why[WHY])
{
    *s = (struct sound){0};
    if (want->rate < RATE_MIN || want->rate > RATE_MAX || !(want->max_seconds > 0 && want->max_seconds < 1e6)) {
        snprintf(why, WHY, "cannot decode to %d Hz, up to %g s", want->rate, want->max_seconds);
        return -1;
    }
    struct memory m = {.data = bytes, .size = (sf_count_t)size};
    struct decoder d = {.want = want};
    int rc = decode(&d, &m, s, why);
    resampler_free(d.resampler);
    if (d.file)
        sf_close(d.file);
    free(d.frames);
    free(d.mono);
    free(d.out.v);
    return rc;
}

void sound_release(struct sound *s)
{
    free(s->pcm);
    *s = (struct sound){0};
}
