/* cmd/audio-decode.c - records with sound files in, the same with mono samples out
 *
 * `audio` (the bytes of a file, or a list of such) becomes `pcm`, `rate` and
 * `duration`.  A row with an `offset` (its own, or among the manifest's other
 * columns) is that stretch of the file, `duration` seconds long.  Rows without
 * `audio` pass untouched. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/dsp/sound.h"
#include "kernels/linalg/compute.h"
#include "libcommon/stream/filter.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/sys/log.h"

struct decoder {
    struct sound_want want;
    bool keep, quiet_libraries;
    int stderr_copy, nowhere;
};

/* libmpg123, under libsndfile, talks on stderr about damaged MP3: the record says it all, in our words. */
static void stderr_mute(struct decoder *d, struct span file, bool mute)
{
    bool mpeg = file.size > 2 && (memcmp(file.data, "ID3", 3) == 0 || (file.data[0] == 0xff && file.data[1] >= 0xe0));
    if (mpeg && d->quiet_libraries)
        dup2(mute ? d->nowhere : d->stderr_copy, STDERR_FILENO);
}

/* A number, or text that is one (CSV): 1 with *v; 0 absent, nil or empty; -1 something else. */
static int number_of(struct span object, double *v)
{
    struct mp_value value;
    char text[64], *end;
    if (mp_read_span(object, &value) < 0)
        return -1;
    if (value.type == MP_NIL)
        return 0;
    if (mp_to_real(&value, v))
        return 1;
    if (value.type != MP_STR || value.bytes.size >= sizeof text)
        return -1;
    memcpy(text, value.bytes.data, value.bytes.size);
    text[value.bytes.size] = 0;
    *v = strtod(text, &end);
    return !*text ? 0 : *end ? -1 : 1;
}

/* The field of the sample or, failing that, the column of its row. */
static int seconds_of(const struct sample *s, const char *key, double *v, struct error *e)
{
    const struct span *own = sample_get(s, key), *row = sample_get(s, "row");
    int rc = own ? number_of(*own, v) : 0;
    if (!own && row) {
        struct mp_cursor c = mp_cursor(*row);
        struct mp_value map, name;
        struct span value;
        if (mp_read(&c, &map) == 0 && map.type == MP_MAP)
            for (uint32_t i = 0; i < map.n && mp_read(&c, &name) == 0; i++) {
                if (name.type != MP_STR || mp_skip(&c, &value) < 0)
                    break;
                if (mp_str_is(&name, key))
                    rc = number_of(value, v);
            }
    }
    return rc < 0 ? error_set(e, STATUS_BAD, "'%s' is not a number of seconds", key) : rc;
}

static int window_read(const struct sample *s, struct sound_want *want, bool list, struct error *e)
{
    int has = seconds_of(s, "offset", &want->offset, e);
    if (has <= 0)
        return has;
    if (list)
        return error_set(e, STATUS_BAD, "a row of several sounds cannot have an 'offset'");
    return seconds_of(s, "duration", &want->duration, e) < 0 ? -1 : 0;
}

static int one_decode(struct decoder *d, struct span file, const struct sound_want *want, struct sound *sound,
                      struct error *e)
{
    char why[WHY];
    stderr_mute(d, file, true);
    int rc = sound_decode(file.data, file.size, want, sound, why);
    stderr_mute(d, file, false);
    return rc < 0 ? error_set(e, STATUS_BAD, "audio: %s", why) : 0;
}

static struct array pcm_array(const struct sound *sound)
{
    return (struct array){ARRAY_F32, 1, {sound->n}, span_of(sound->pcm, sound->n * sizeof *sound->pcm)};
}

/* Several sounds: lists of arrays and of durations. */
static int list_decode(struct decoder *d, struct sample *s, struct mp_cursor files, uint32_t n, struct error *e)
{
    struct buf pcm, seconds;
    buf_init(&pcm, UNIT_MAX);
    buf_init(&seconds, UNIT_MAX);
    mp_put_array(&pcm, n);
    mp_put_array(&seconds, n);
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct mp_value v;
        struct sound sound = {0};
        if (mp_read(&files, &v) < 0 || v.type != MP_BIN)
            rc = error_set(e, STATUS_BAD, "'audio' is a list whose item %u is not bytes (bin)", i + 1);
        else if (one_decode(d, v.bytes, &d->want, &sound, e) < 0)
            rc = error_prefix(e, "item %u of %u", i + 1, n);
        struct array a = pcm_array(&sound);
        if (rc == 0) {
            array_put(&pcm, &a);
            mp_put_real(&seconds, sound.seconds);
        }
        sound_release(&sound);
    }
    if (rc == 0 && (pcm.failed || seconds.failed))
        rc = error_set(e, STATUS_BAD, "its sounds are larger than a unit of 64 MiB");
    if (rc == 0 && (sample_put_raw(s, "pcm", span_of(pcm.data, pcm.size), e) < 0 ||
                    sample_put_raw(s, "duration", span_of(seconds.data, seconds.size), e) < 0))
        rc = -1;
    buf_release(&pcm);
    buf_release(&seconds);
    return rc;
}

static int single_decode(struct decoder *d, struct sample *s, struct span file, struct error *e)
{
    struct sound_want want = d->want;
    struct sound sound;
    if (window_read(s, &want, false, e) < 0 || one_decode(d, file, &want, &sound, e) < 0)
        return -1;
    struct array a = pcm_array(&sound);
    int rc = sample_put_array(s, "pcm", &a, e) < 0 || sample_put_real(s, "duration", sound.seconds, e) < 0 ? -1 : 0;
    sound_release(&sound);
    return rc;
}

static int decode(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    (void)epoch;
    struct decoder *d = ctx;
    const struct span *audio = sample_get(s, "audio");
    struct sound_want none;
    struct mp_value v;
    if (!audio)
        return 0;
    struct mp_cursor c = mp_cursor(*audio);
    if (mp_read(&c, &v) < 0 || (v.type != MP_BIN && v.type != MP_ARRAY && v.type != MP_NIL))
        return error_set(e, STATUS_BAD, "'audio' is neither bytes (bin) nor a list of them");
    if (v.type == MP_BIN && single_decode(d, s, v.bytes, e) < 0)
        return -1;
    if (v.type == MP_ARRAY && (window_read(s, &none, true, e) < 0 || list_decode(d, s, c, v.n, e) < 0))
        return -1;
    if (v.type != MP_NIL && sample_put_int(s, "rate", d->want.rate, e) < 0)
        return -1;
    if (!d->keep)
        sample_drop(s, "audio");
    return 0;
}

int main(int argc, char **argv)
{
    int64_t rate = 16000;
    double most = 0;
    struct decoder d = {.stderr_copy = -1, .nowhere = -1};
    const struct opt opts[] = {
        { OPT_INT, .name = "sampling-rate", .value = &rate, .arg = "HZ", .min = 1000, .max = 768000,
          .help = "of the samples written" },
        { OPT_REAL, .name = "max-duration", .value = &most, .arg = "SECONDS", .min = 0, .max = 86400,
          .help = "longer sound is an error record; 0: what fits into a unit" },
        { OPT_FLAG, .name = "keep", .value = &d.keep, .help = "leave 'audio' in the record" },
        {.name = NULL},
    };
    const struct program program = {
        .name = "audio-decode", .opts = opts,
        .summary = "sound files (audio) in a stream become mono samples (pcm, rate, duration)",
    };
    struct common common = {0};
    opt_parse(&program, &common, 0, argc, argv);

    double fits = (double)(UNIT_MAX - (1 << 20)) / sizeof(float) / (double)rate;
    d.want = (struct sound_want){(int)rate, most > 0 && most < fits ? most : fits, 0, 0};
    d.nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    d.stderr_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    d.quiet_libraries = !common.verbose && d.nowhere >= 0 && d.stderr_copy >= 0;

    struct stage stage;
    stage_init(&stage, "audio-decode");
    stage_put_int(&stage, "sampling_rate", rate);
    stage_put_str(&stage, STAGE_KERNELS, kernels_name(kernels_choose(NULL)));      /* the libraries take the best there is */
    struct filter filter = {&d, &stage, NULL, decode};
    int status = filter_run(&filter, &common);
    stage_release(&stage);
    return status;
}
