/* cmd/mel-features.c - records with mono samples in, the same with log-mel features out
 *
 * `pcm` (float32 samples at `rate`, or a list of such) becomes `input_features`
 * [mels, frames] and `padding_value`.  Rows without `pcm` pass untouched. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/cli/local_dir.h"
#include "kernels/dsp/mel.h"
#include "libcommon/format/json.h"
#include "libcommon/stream/filter.h"
#include "libcommon/stream/mixture.h"
#include "libcommon/sys/log.h"

struct extractor {
    struct mel_shape shape;
    const struct kernels *variant;
    struct mel *mel;
    struct mel_scratch *scratch;
    float *pcm, *features;      /* one clip and its frames */
    size_t room;                /* samples of it: the model's length, more with `whole` */
    const char *over_long;      /* error, drop, cut or whole */
    bool keep;
    uint64_t cut, dropped, whole;       /* how many sounds, for the last word */
};

/* --- the model's configuration ----------------------------------------------------- */
static int setting_read(const json_t *config, const char *key, const char *name, int *to, struct error *e)
{
    const json_t *v = json_object_get(config, key);
    if (!v)
        return 0;
    double n = json_is_number(v) ? json_number_value(v) : -1;
    if (!(n >= 1 && n <= 1 << 24 && n == floor(n)))
        return error_set(e, STATUS_BAD, "%s: '%s' is not a whole number that makes sense", name, key);
    *to = (int)n;
    return 0;
}

static int settings_read(const json_t *config, const char *name, struct mel_shape *s, struct error *e)
{
    const char *type = json_string_value(json_object_get(config, "feature_extractor_type"));
    int seconds = (int)s->seconds;
    if (!json_is_object(config))
        return error_set(e, STATUS_BAD, "%s: not an object of settings", name);
    if (type && strcmp(type, "WhisperFeatureExtractor") != 0)
        return error_set(e, STATUS_BAD, "%s: its features are made by '%s', which is not known here "
                                        "(WhisperFeatureExtractor is)", name, type);
    if (json_number_value(json_object_get(config, "dither")) != 0)
        return error_set(e, STATUS_BAD, "%s: 'dither' adds random noise, which is not done here: set it to 0", name);
    if (json_number_value(json_object_get(config, "padding_value")) != 0)
        return error_set(e, STATUS_BAD, "%s: 'padding_value' is a sound that is not done here: set it to 0", name);
    if (setting_read(config, "feature_size", name, &s->bands, e) < 0 ||
        setting_read(config, "sampling_rate", name, &s->rate, e) < 0 ||
        setting_read(config, "hop_length", name, &s->hop, e) < 0 || setting_read(config, "n_fft", name, &s->n_fft, e) < 0 ||
        setting_read(config, "chunk_length", name, &seconds, e) < 0)
        return -1;
    s->seconds = seconds;
    return 0;
}

/* preprocessor_config.json or, since transformers 5, feature_extractor in processor_config.json. */
static int model_read(const char *dir, struct mel_shape *s, struct error *e)
{
    static const char *const names[] = {"preprocessor_config.json", "processor_config.json"};
    for (int i = 0; i < 2; i++) {
        *e = (struct error){0};
        json_t *j = json_read_in(dir, names[i], e);
        if (!j && e->status)
            return -1;
        const json_t *nested = json_object_get(j, "feature_extractor");
        if (!j || (i == 1 && !nested)) {
            json_decref(j);
            continue;
        }
        char name[600];
        snprintf(name, sizeof name, "'%.500s/%s'", dir, names[i]);
        int rc = settings_read(nested ? nested : j, name, s, e);
        json_decref(j);
        return rc;
    }
    return error_set(e, STATUS_BAD, "'%s' has no settings for features: no %s, no feature_extractor in %s", dir,
                     names[0], names[1]);
}

/* --- one sample -------------------------------------------------------------------- */
/* Samples made at another rate than this model hears would be learnt without a word. */
static int header_check(void *ctx, const struct header *h, struct error *e)
{
    const struct extractor *x = ctx;
    double rate;
    if (!header_option_real(h, "audio-decode", "sampling_rate", &rate) || rate == x->shape.rate)
        return 0;
    return error_set(e, STATUS_BAD, "audio-decode made samples at %g Hz, but the model takes %d: give it "
                                    "--sampling-rate %d", rate,
                     x->shape.rate, x->shape.rate);
}

static int rate_check(const struct extractor *x, const struct sample *s, struct error *e)
{
    double rate;
    int has = sample_real(s, "rate", &rate, e);
    if (has < 0)
        return -1;
    if (!has)
        return error_set(e, STATUS_BAD, "'pcm' without a 'rate': how many samples are a second?");
    if (rate != x->shape.rate)
        return error_set(e, STATUS_BAD, "its rate is %g Hz, but the model takes %d: audio-decode --sampling-rate %d",
                         rate, x->shape.rate, x->shape.rate);
    return 0;
}

/* Room for a clip of n samples and its frames. */
static int room_make(struct extractor *x, size_t n, struct error *e)
{
    if (n <= x->room)
        return 0;
    free(x->pcm);
    free(x->features);
    x->pcm = malloc(n * sizeof *x->pcm);
    x->features = malloc((size_t)x->shape.bands * mel_frames_whole(x->mel, n) * sizeof *x->features);
    x->room = x->pcm && x->features ? n : 0;
    return x->room ? 0 : error_memory(e);
}

/* float32 into x->pcm, at most the model's length unless all is wanted; *n: of all of it. */
static int pcm_load(struct extractor *x, struct span value, size_t *n, struct error *e)
{
    struct array a;
    const char *why;
    if (array_read(value, &a, &why) < 0)
        return error_set(e, STATUS_BAD, "'pcm' is %s", why);
    if (a.rank != 1 || (a.type != ARRAY_F32 && a.type != ARRAY_F64))
        return error_set(e, STATUS_BAD, "'pcm' is of %d dimensions and type %s, not one of float32", a.rank,
                         array_type_name(a.type));
    size_t most = *x->over_long == 'w' ? SIZE_MAX : mel_limit(x->mel), take = a.shape[0] < most ? (size_t)a.shape[0] : most;
    if (room_make(x, take, e) < 0)
        return -1;
    if (a.type == ARRAY_F32 && take)
        memcpy(x->pcm, a.data.data, take * sizeof *x->pcm);
    for (size_t i = 0; a.type == ARRAY_F64 && i < take; i++)
        x->pcm[i] = (float)array_at(&a, i);
    *n = (size_t)a.shape[0];
    return 0;
}

/* 1: over-long, and to be dropped. */
static int clip_features(struct extractor *x, struct span value, struct array *features, float *padding, struct error *e)
{
    size_t n = 0, most = mel_limit(x->mel);
    char why[WHY];
    if (pcm_load(x, value, &n, e) < 0)
        return -1;
    if (n > most) {
        double seconds = (double)n / x->shape.rate;
        if (strcmp(x->over_long, "error") == 0 || strcmp(x->over_long, "drop") == 0) {
            error_set(e, STATUS_BAD, "%.2f s of sound, but the model takes %g (--over-long cut, drop or, for "
                                     "generate, whole would go on)",
                      seconds, x->shape.seconds);
            return *x->over_long == 'd' ? 1 : -1;
        }
        bool whole = *x->over_long == 'w';
        x->whole += whole;
        x->cut += !whole;
        n = whole ? n : most;
    }
    if (mel_compute_whole(x->mel, x->scratch, x->pcm, n, x->features, padding, why) < 0)
        return error_set(e, STATUS_BAD, "'pcm': %s", why);
    size_t frames = mel_frames_whole(x->mel, n), bands = (size_t)x->shape.bands;
    *features = (struct array){ARRAY_F32, 2, {bands, frames}, span_of(x->features, bands * frames * sizeof *x->features)};
    return 0;
}

/* Several sounds: lists in their order. */
static int list_features(struct extractor *x, struct sample *s, struct mp_cursor c, uint32_t n, struct error *e)
{
    struct buf features, paddings;
    buf_init(&features, UNIT_MAX);
    buf_init(&paddings, UNIT_MAX);
    mp_put_array(&features, n);
    mp_put_array(&paddings, n);
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct span value;
        struct array a;
        float padding;
        rc = mp_skip(&c, &value) < 0 ? error_set(e, STATUS_BAD, "'pcm' is damaged") :
             clip_features(x, value, &a, &padding, e);
        if (rc < 0)
            error_prefix(e, "item %u of %u", i + 1, n);
        if (rc == 0) {
            array_put(&features, &a);
            mp_put_real(&paddings, (double)padding);
        }
    }
    if (rc == 0 && (features.failed || paddings.failed))
        rc = error_set(e, STATUS_BAD, "its features are larger than a unit of 64 MiB");
    if (rc == 0 && (sample_put_raw(s, "input_features", span_of(features.data, features.size), e) < 0 ||
                    sample_put_raw(s, "padding_value", span_of(paddings.data, paddings.size), e) < 0))
        rc = -1;
    buf_release(&features);
    buf_release(&paddings);
    return rc;
}

static int single_features(struct extractor *x, struct sample *s, struct span value, struct error *e)
{
    struct array a;
    float padding;
    int rc = clip_features(x, value, &a, &padding, e);
    if (rc)
        return rc;
    if (sample_put_array(s, "input_features", &a, e) < 0)
        return -1;
    return sample_put_real(s, "padding_value", (double)padding, e);
}

static int extract(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    (void)epoch;
    struct extractor *x = ctx;
    const struct span *pcm = sample_get(s, "pcm");
    struct mp_value v;
    if (!pcm)
        return 0;
    struct mp_cursor c = mp_cursor(*pcm);
    if (mp_read(&c, &v) < 0)
        return error_set(e, STATUS_BAD, "'pcm' is damaged");
    if (v.type == MP_NIL)
        return 0;
    if (rate_check(x, s, e) < 0)
        return -1;
    int rc = v.type == MP_ARRAY ? list_features(x, s, c, v.n, e) : single_features(x, s, *pcm, e);
    if (rc < 0)
        return -1;
    if (rc == 1) {
        x->dropped++;
        sample_pass_over(s, "mel-features", e->text);
        return 0;
    }
    if (!x->keep) {
        sample_drop(s, "pcm");
        sample_drop(s, "rate");
    }
    return 0;
}

/* --- the program ------------------------------------------------------------------- */
static void extractor_open(struct extractor *x, const char *model, int64_t bands, int64_t seconds, bool bands_given,
                           bool seconds_given)
{
    struct error e;
    char why[WHY];
    x->shape = (struct mel_shape){16000, 400, 160, (int)bands, (double)seconds};
    if (model && model_read(model, &x->shape, &e) < 0)
        die(e.status, "%s", e.text);
    if (bands_given && x->shape.bands != bands)
        die(STATUS_BAD, "--feature-size %lld, but the model in '%s' takes %d", (long long)bands, model, x->shape.bands);
    if (seconds_given && x->shape.seconds != (double)seconds)
        die(STATUS_BAD, "--chunk-length %lld, but the model in '%s' takes %g s", (long long)seconds, model,
            x->shape.seconds);
    const struct kernels *variant = kernels_choose(getenv("PENSTOCK_KERNELS"));
    x->variant = variant;
    if (!variant)
        die(STATUS_BAD, "PENSTOCK_KERNELS: '%s' is not a variant of this processor", getenv("PENSTOCK_KERNELS"));
    x->mel = mel_new(&x->shape, variant, why);
    if (!x->mel)
        die(STATUS_BAD, "cannot make features: %s", why);
    x->scratch = mel_scratch_new(x->mel);
    if (!x->scratch || room_make(x, mel_limit(x->mel), &e) < 0)
        die(STATUS_AGAIN, "out of memory");
}

static void stage_fill(struct stage *stage, const struct extractor *x)
{
    stage_init(stage, "mel-features");
    stage_put_int(stage, "feature_size", x->shape.bands);
    stage_put_int(stage, "sampling_rate", x->shape.rate);
    stage_put_int(stage, "n_fft", x->shape.n_fft);
    stage_put_int(stage, "hop_length", x->shape.hop);
    stage_put_int(stage, "chunk_length", (int64_t)x->shape.seconds);
    stage_put_str(stage, "over_long", x->over_long);
    /* FFTW takes the best that the processor has, unless it may take nothing. */
    stage_put_str(stage, STAGE_KERNELS, kernels_name(x->variant == kernels_choose("ref") ? x->variant :
                                                     kernels_choose(NULL)));
}

int main(int argc, char **argv)
{
    static const char *const policies[] = {"error", "drop", "cut", "whole", "split", NULL};
    const char *model = NULL;
    int64_t bands = 80, seconds = 30;
    bool bands_given = false, seconds_given = false;
    struct extractor x = {.over_long = "error"};
    const struct opt opts[] = {
        { OPT_STRING, .name = "model", .value = &model, .arg = "DIR",
          .help = "read the settings from its preprocessor_config.json" },
        { OPT_INT, .name = "feature-size", .value = &bands, .arg = "N", .min = 1, .max = MEL_BANDS_MAX,
          .given = &bands_given, .help = "mel bands, without --model" },
        { OPT_INT, .name = "chunk-length", .value = &seconds, .arg = "SECONDS", .min = 1, .max = 3600,
          .given = &seconds_given, .help = "the model's length" },
        { OPT_CHOICE, .name = "over-long", .value = &x.over_long, .choices = policies, .help = "for longer sound" },
        { OPT_FLAG, .name = "keep", .value = &x.keep, .help = "leave 'pcm' and 'rate' in the record" },
        {.name = NULL},
    };
    const struct program program = {
        .name = "mel-features", .opts = opts,
        .summary = "mono samples (pcm) in a stream become log-mel features (input_features, padding_value)",
    };
    struct common common = {0};
    opt_parse(&program, &common, 0, argc, argv);
    if (*x.over_long == 's')
        die(STATUS_BAD, "--over-long split: a record cannot become several here; gcs-fetch --over-long split cuts "
                        "rows between their segments");
    model = local_dir(model);
    extractor_open(&x, model, bands, seconds, bands_given, seconds_given);

    struct stage stage;
    stage_fill(&stage, &x);
    struct filter filter = {&x, &stage, header_check, extract};
    int status = filter_run(&filter, &common);
    if (x.cut || x.dropped || x.whole)
        note("over-long sounds: %llu cut, %llu dropped, %llu whole", (unsigned long long)x.cut,
             (unsigned long long)x.dropped, (unsigned long long)x.whole);
    stage_release(&stage);
    mel_scratch_free(x.scratch);
    mel_free(x.mel);
    free(x.pcm);
    free(x.features);
    return status;
}
