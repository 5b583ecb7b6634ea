/* tests/unit/sound_test.c - sound files of many kinds come out as the sound that went in */
#include "kernels/dsp/sound.h"

#include <sndfile.h>
#include <stdlib.h>

#include "tests/unit/sound_write.h"
#include "tests/unit/tap.h"

static const double pi = 3.14159265358979323846;
static const struct sound_want whole = {16000, 60, 0, 0};

/* A tone of `hertz`, each channel at its own loudness, their mean at 0.25; ends faded, as clips are. */
static double *tone(int rate, int channels, size_t frames, double hertz)
{
    double *x = malloc(frames * (size_t)channels * sizeof *x);
    for (size_t i = 0; i < frames; i++) {
        double t = (double)i / rate, left = (double)(frames - i) / rate, edge = t < left ? t : left;
        double v = 0.25 * sin(2 * pi * hertz * t) * (edge < 0.05 ? edge / 0.05 : 1);
        for (int c = 0; c < channels; c++)
            x[i * (size_t)channels + (size_t)c] = channels == 1 ? v : v * 2 * c / (channels - 1);
    }
    return x;
}

/* dB of the wanted tone over what differs from it, from second 0.1 to 0.1 before the end. */
static double snr(const struct sound *s, int rate, double hertz)
{
    double signal = 0, noise = 0;
    for (size_t i = (size_t)rate / 10; i + (size_t)rate / 10 < s->n; i++) {
        double want = 0.25 * sin(2 * pi * hertz * (double)i / rate), d = (double)s->pcm[i] - want;
        signal += want * want;
        noise += d * d;
    }
    return 10 * log10(signal / (noise + 1e-30));
}

static void format_check(const char *name, int format, int rate, int channels, double limit)
{
    size_t frames = (size_t)rate / 2 + 7;
    double *x = tone(rate, channels, frames, 440);
    uint8_t *file;
    size_t size = sound_write(format, rate, channels, x, frames, &file);
    free(x);
    if (!size) {
        printf("# this libsndfile does not write %s at %d Hz with %d channels\n", name, rate, channels);
        return;
    }
    char why[WHY] = "";
    struct sound s;
    int rc = sound_decode(file, size, &whole, &s, why);
    double want = (double)frames * 16000 / rate;
    double db = rc == 0 ? snr(&s, 16000, 440) : NAN;
    ok(rc == 0 && fabs((double)s.n - want) <= 1.5 && db >= limit,
       "%s, %d Hz, %d channels: %zu samples (want %.0f), %.0f dB (at least %.0f)%s", name, rate, channels, s.n, want, db,
       limit, why);
    sound_release(&s);
    free(file);
}

static void formats(void)
{
    static const struct { const char *name; int format; double limit; } kinds[] = {
        {"WAV u8", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 30},
        {"WAV 16", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 75},
        {"WAV 24", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 90},
        {"WAV 32", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 90},
        {"WAV float", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 90},
        {"WAV double", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 90},
        {"WAV mu-law", SF_FORMAT_WAV | SF_FORMAT_ULAW, 30},
        {"WAV extensible", SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 75},
        {"RIFX", SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG, 75},
        {"RF64", SF_FORMAT_RF64 | SF_FORMAT_PCM_24, 90},
        {"AIFF 16", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 75},
        {"AU 24", SF_FORMAT_AU | SF_FORMAT_PCM_24, 90},
        {"W64 16", SF_FORMAT_W64 | SF_FORMAT_PCM_16, 75},
        {"CAF 16", SF_FORMAT_CAF | SF_FORMAT_PCM_16, 75},
        {"FLAC 8", SF_FORMAT_FLAC | SF_FORMAT_PCM_S8, 30},
        {"FLAC 16", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 75},
        {"FLAC 24", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 90},
        {"Vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 15},
        {"Opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 15},
        {"MP3", 0x230000 | 0x82, 15},       /* SF_FORMAT_MPEG, layer III: not named before libsndfile 1.1 */
    };
    static const int rates[] = {8000, 11025, 16000, 22050, 44100, 48000, 96000}, channels[] = {1, 2, 6, 8};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t r = 0; r < 7; r++)
            for (size_t c = 0; c < 2; c++) {
                /* Of more than two channels lossy coders give one to deep sounds alone. */
                int n = channels[(k + r + c) % 4];
                format_check(kinds[k].name, kinds[k].format, rates[r], n, kinds[k].limit < 20 && n > 2 ? 8 : kinds[k].limit);
            }
}

/* The loudness of a tone behind the resampler, in dB relative to before. */
static double response(int rate, double hertz)
{
    size_t frames = (size_t)rate;
    double *x = tone(rate, 1, frames, hertz), power = 0;
    uint8_t *file;
    char why[WHY];
    struct sound s;
    size_t size = sound_write(SF_FORMAT_WAV | SF_FORMAT_DOUBLE, rate, 1, x, frames, &file);
    free(x);
    int rc = sound_decode(file, size, &whole, &s, why);
    free(file);
    if (rc < 0)
        return NAN;
    size_t count = 0;
    for (size_t i = 3200; i + 3200 < s.n; i++, count++)
        power += (double)s.pcm[i] * (double)s.pcm[i];
    sound_release(&s);
    return 10 * log10(power / (double)count / (0.25 * 0.25 / 2) + 1e-30);
}

static void tones(void)
{
    static const int rates[] = {22050, 44100, 48000, 96000};
    for (size_t r = 0; r < 4; r++) {
        double flat = 0, leak = -999;
        for (double hertz = 50; hertz <= 7000; hertz += 695) {
            double db = fabs(response(rates[r], hertz));
            flat = worse(flat, db);
        }
        for (double hertz = 9000; hertz < 0.49 * rates[r]; hertz += 1717) {
            double db = response(rates[r], hertz);
            leak = worse(leak, db);
        }
        ok(flat <= 0.1, "from %d Hz: flat within %.4f dB below 7 kHz (limit 0.1)", rates[r], flat);
        ok(leak <= -80, "from %d Hz: tones from 9 kHz up are %.0f dB down (at least 80)", rates[r], -leak);
    }
}

static void golden(void)
{
    size_t size = 0, want_size = 0;
    uint8_t *file = sound_load("tests/data/speech/jfk.flac", &size),
            *want_file = sound_load("tests/golden/mel/jfk-16k.flac", &want_size);
    struct sound got = {0}, want = {0};
    char why[WHY] = "";
    if (!ok(file && want_file && sound_decode(file, size, &whole, &got, why) == 0 &&
                sound_decode(want_file, want_size, &whole, &want, why) == 0, "jfk.flac is decoded %s", why))
        return;
    is_int((long long)got.n, 176000, "to 176,000 samples");
    is_int(got.file_channels, 2, "from two channels");
    double signal = 0, noise = 0;
    for (size_t i = 0; i < got.n && i < want.n; i++) {
        signal += (double)want.pcm[i] * (double)want.pcm[i];
        noise += ((double)got.pcm[i] - (double)want.pcm[i]) * ((double)got.pcm[i] - (double)want.pcm[i]);
    }
    double db = 10 * log10(signal / noise);
    ok(want.n == got.n && db >= 60, "%.0f dB from the golden resampling (at least 60)", db);

    /* a window by seeking, against the same stretch of the whole: here without resampling */
    struct sound_want part = {16000, 60, 2.5, 1.25};
    struct sound cut = {0};
    ok(sound_decode(want_file, want_size, &part, &cut, why) == 0 && cut.n == 20000 &&
           memcmp(cut.pcm, want.pcm + 40000, 20000 * sizeof(float)) == 0, "a window of 1.25 s from 2.5 s is that stretch");
    sound_release(&cut);
    part = (struct sound_want){16000, 60, 10, 0};
    ok(sound_decode(want_file, want_size, &part, &cut, why) == 0 && cut.n == 16000,
       "from 10 s to the end are 16,000 samples");
    sound_release(&cut);
    part = (struct sound_want){16000, 60, 10, 1.05};
    ok(sound_decode(want_file, want_size, &part, &cut, why) == 0 && cut.n == 16000, "a window may be 0.1 s too long");
    sound_release(&cut);
    sound_release(&got);
    sound_release(&want);
    free(file);
    free(want_file);
}

int main(void)
{
    golden();
    formats();
    tones();
    return done();
}
