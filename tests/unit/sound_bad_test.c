/* tests/unit/sound_bad_test.c - sound files that are cut, damaged, empty or lie: an error with the reason */
#include "kernels/dsp/sound.h"

#include <sndfile.h>
#include <stdlib.h>

#include "kernels/dsp/sound_mpeg.h"
#include "tests/unit/sound_write.h"
#include "tests/unit/tap.h"

static const struct sound_want whole = {16000, 60, 0, 0};
static char why[WHY];

/* 0 decoded, -1 refused with a reason; anything else is a fault of ours. */
static int decode(const uint8_t *file, size_t size, const struct sound_want *want)
{
    uint8_t *copy = malloc(size ? size : 1);    /* so that a sanitizer sees a read beyond it */
    memcpy(copy, file, size);
    struct sound s;
    why[0] = 0;
    int rc = sound_decode(copy, size, want, &s, why);
    free(copy);
    if ((rc == 0 && (!s.n || !s.pcm)) || (rc < 0 && (!why[0] || s.pcm || strchr(why, '\n'))))
        rc = -2;
    sound_release(&s);
    return rc;
}

static void refused(const uint8_t *file, size_t size, const struct sound_want *want, const char *pattern, const char *what)
{
    int rc = decode(file, size, want);
    ok(rc == -1 && strstr(why, pattern), "%s: '%s' (expected '%s')", what, why, pattern);
}

static double noise[2 * 20000];       /* two channels of it, or one */

static void cut_anywhere(const char *name, int format, int rate)
{
    uint8_t *file;
    size_t size = sound_write(format, rate, 2, noise, 20000, &file), passed = 0, at = 0;
    if (!size) {
        printf("# this libsndfile does not write %s\n", name);
        return;
    }
    is_int(decode(file, size, &whole), 0, name);
    /* every length at the ends, where the headers are; some between */
    for (size_t n = 0; n < size; n += n < 300 || n + 40 > size ? 1 : size / 23)
        if (decode(file, n, &whole) != -1) {
            passed++;
            at = n;
        }
    ok(passed == 0, "%s cut anywhere is refused (%zu lengths passed, one is %zu of %zu)", name, passed, at, size);
    free(file);
}

static void cut_files(void)
{
    cut_anywhere("WAV", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000);
    cut_anywhere("WAV, float", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000);
    cut_anywhere("WAV, ADPCM", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 16000);
    cut_anywhere("RIFX", SF_FORMAT_WAV | SF_FORMAT_PCM_24 | SF_ENDIAN_BIG, 16000);
    cut_anywhere("RF64", SF_FORMAT_RF64 | SF_FORMAT_PCM_24, 16000);
    cut_anywhere("AIFF", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 16000);
    cut_anywhere("AU", SF_FORMAT_AU | SF_FORMAT_PCM_16, 16000);
    cut_anywhere("FLAC", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000);
    cut_anywhere("Vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000);
    cut_anywhere("Opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 16000);
    cut_anywhere("MP3", 0x230000 | 0x82, 16000);
}

/* Whatever a damaged byte does, it is an answer or a reason, and a bounded one. */
static void damaged(const char *name, int format, int rate)
{
    uint8_t *file;
    size_t size = sound_write(format, rate, 1, noise, 8000, &file);
    bool good = size > 0;
    for (int round = 0; round < 300 && good; round++) {
        size_t at = round < 150 ? (size_t)rand() % (size < 80 ? size : 80) : (size_t)rand() % size;
        uint8_t was = file[at];
        file[at] = (uint8_t)rand();
        good = decode(file, size, &whole) >= -1;
        file[at] = was;
    }
    if (size)
        ok(good, "%s with a damaged byte is decoded or refused", name);
    free(file);
}

/* A page that libogg skips would leave a hole, and its text beside the wrong sound. */
static void ogg_damaged(const char *name, int format, int rate)
{
    uint8_t *file;
    size_t size = sound_write(format, rate, 1, noise, 40000, &file), passed = 0;
    for (size_t n = 4; n < size; n += size / 50 + 1) {
        file[n] ^= 0x55;
        passed += decode(file, size, &whole) != -1;
        file[n] ^= 0x55;
    }
    if (size)
        ok(passed == 0, "%s with any page damaged is refused (last: %s)", name, why);
    free(file);
}

/* Two files one behind the other: all of it, or a word. */
static void joined(const char *name, int format, int rate, size_t least)
{
    uint8_t *file;
    size_t size = sound_write(format, rate, 1, noise, 20000, &file);
    if (!size)
        return;
    uint8_t *two = malloc(2 * size);
    memcpy(two, file, size);
    memcpy(two + size, file, size);
    struct sound s;
    int rc = sound_decode(two, 2 * size, &(struct sound_want){rate, 60, 0, 0}, &s, why);
    ok(rc < 0 || s.n >= least, "two %s files, one behind the other: %zu samples %s", name, s.n, rc < 0 ? why : "");
    sound_release(&s);
    free(two);
    free(file);
}

/* MP3 of variable bit rate whose header frame is gone: a guess at its length would lose half of it. */
static void mpeg_lengths(void)
{
    uint8_t *file;
    size_t size = sound_write(0x230082, 16000, 1, noise, 40000, &file), passed = 0;
    struct mpeg_stream m;
    if (!size || mpeg_walk(file, size, &m, why) != 1) {
        free(file);
        return;
    }
    ok(m.counted && m.frames >= 40000 / 576 && m.first > 0, "an MP3 of %zu frames, and a header frame", m.frames);
    uint8_t *bare = file + m.first;
    size_t n = size - m.first;
    struct sound s;
    int rc = sound_decode(bare, n, &whole, &s, why);
    ok(rc == 0 && s.n >= 40000 && s.n <= 42000, "without its header frame it is as long: %zu samples %s", s.n,
       rc < 0 ? why : "");
    sound_release(&s);
    rc = sound_decode(bare, n, &(struct sound_want){16000, 60, 1.5, 0.5}, &s, why);
    ok(rc == 0 && s.n == 8000, "and has windows: %zu samples %s", s.n, rc < 0 ? why : "");
    sound_release(&s);
    for (size_t cut = 200; cut < n; cut += 199)
        passed += decode(bare, cut, &whole) == 0;
    ok(passed <= 1, "without it and cut anywhere it is refused (but at the end of a frame: %zu)", passed);
    memset(file + size / 2, 0x55, 600);
    refused(file, size, &whole, "no MPEG frame at byte", "frames damaged in the middle");
    free(file);
}

static void lies(void)
{
    uint8_t *wav;
    size_t size = sound_write(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, noise, 1000, &wav);
    uint8_t *header = malloc(size);
    memcpy(header, wav, size);

    memcpy(wav + 40, "\377\377\377\177", 4);
    refused(wav, size, &whole, "its header promises 2147483647 bytes of sound, 2000 are there", "a data chunk of 2 GB");
    memcpy(wav, header, size);
    memcpy(wav + 40, "\377\377\377\377", 4);
    is_int(decode(wav, size, &whole), 0, "a data chunk of unknown length, as pipes have");
    memcpy(wav, header, size);
    memcpy(wav + 22, "\377\377", 2);
    is_int(decode(wav, size, &whole), -1, "65,535 channels");
    memcpy(wav, header, size);
    memcpy(wav + 24, "\1\0\0\0", 4);
    refused(wav, size, &whole, "1 channels at 1 Hz", "a rate of 1 Hz");
    memcpy(wav + 24, "\377\377\377\177", 4);
    is_int(decode(wav, size, &whole), -1, "a rate of 2 GHz");
    memcpy(wav, header, size);
    wav[20] = 0x66;
    is_int(decode(wav, size, &whole), -1, "an unknown codec");
    refused(header, size, &(struct sound_want){16000, 0.05, 0, 0}, "over the limit of 0.05 s", "longer than allowed");
    refused(header, size, &(struct sound_want){16000, 60, 0.0625, 0}, "beyond its end (0.062 s)", "an offset at its end");
    refused(header, size, &(struct sound_want){16000, 60, 1e300, 0}, "makes no sense", "an offset of 1e300 s");
    refused(header, size, &(struct sound_want){16000, 60, NAN, 0}, "makes no sense", "an offset that is no number");
    refused(header, size, &(struct sound_want){16000, 60, 0, -1}, "makes no sense", "a negative duration");
    refused(header, size, &(struct sound_want){16000, 60, 0.03, 0.2}, "goes beyond its end", "a window beyond the end");
    refused(header, size, &(struct sound_want){16000, 60, 0, 1e-9}, "no samples", "a window of no sample");
    free(wav);
    free(header);

    /* A FLAC header may claim 2^36 samples: nothing is reserved for them. */
    uint8_t *flac;
    size = sound_write(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, noise, 1000, &flac);
    if (size) {
        flac[21] |= 0x0f;
        memset(flac + 22, 0xff, 4);
        refused(flac, size, &whole, "over the limit", "FLAC that claims 68 billion samples");
        memset(flac + 22, 0, 4);
        flac[21] &= 0xf0;
        is_int(decode(flac, size, &whole) >= -1, 1, "FLAC that does not say how long it is");
        printf("# %s\n", why);
    }
    free(flac);
}

static void not_numbers(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        double was = noise[777];
        noise[777] = bad[i];
        uint8_t *file;
        size_t size = sound_write(SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 2, noise, 1000, &file);
        refused(file, size, &whole, "frame 388 holds a sample that is not a finite number", "a sample that is no number");
        free(file);
        noise[777] = was;
    }
}

static void no_sound(void)
{
    static const char text[] = "once upon a time there was a text file that was named like a sound file, "
                               "and nobody noticed until\nthe training had learnt it. RIFF WAVE fmt data OggS fLaC ID3\n";
    refused((const uint8_t *)text, sizeof text - 1, &whole, "not a sound file that can be read", "a text file");
    refused((const uint8_t *)text, 0, &whole, "empty file", "an empty file");
    refused((const uint8_t *)"RIFF", 4, &whole, "", "four bytes");
    static const uint8_t zeros[5000];
    refused(zeros, sizeof zeros, &whole, "", "zeros");
    uint8_t *file;
    size_t size = sound_write(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, noise, 0, &file);
    refused(file, size, &whole, "no samples", "a WAV without samples");
    free(file);
    size = sound_write(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, noise, 0, &file);
    if (size)
        refused(file, size, &whole, "", "a FLAC without samples");
    free(file);
    struct sound s;
    ok(sound_decode(text, sizeof text, &(struct sound_want){0, 60, 0, 0}, &s, why) == -1, "a wish for 0 Hz: %s", why);
}

int main(void)
{
    srand(7);
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        noise[i] = 0.5 * rand() / RAND_MAX - 0.25;
    no_sound();
    not_numbers();
    lies();
    cut_files();
    ogg_damaged("Vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100);
    ogg_damaged("Opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000);
    joined("WAV", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 44100, 40000);
    joined("FLAC", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100, 40000);
    joined("Vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 40000);
    joined("Opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 40000);
    joined("MP3", 0x230082, 44100, 40000);
    mpeg_lengths();
    damaged("WAV", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 44100);
    damaged("FLAC", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100);
    damaged("Vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100);
    damaged("Opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000);
    damaged("MP3", 0x230000 | 0x82, 44100);
    return done();
}
