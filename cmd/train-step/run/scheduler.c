/* cmd/train-step/run/scheduler.c - see scheduler.h */
#include "cmd/train-step/run/scheduler.h"

#include <math.h>
#include <string.h>

#include "libcommon/cli/opt.h"
#include "libcommon/format/json.h"

const char *const scheduler_names[] = {
    "linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt", "cosine_with_restarts", "polynomial",
    "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", NULL,
};
static const char *const slopes[] = { "linear", "cosine", "1-sqrt", NULL };     /* in the order of enum slope */

enum { KEYS = 8 };
#define MOST 9007199254740992.0 /* 2^53: whole numbers up to it are doubles */

/* What transformers' function of each kind takes besides steps. */
static const char *const taken[][KEYS] = {
    [SCHEDULE_LINEAR] = { NULL },
    [SCHEDULE_COSINE] = { "num_cycles" },
    [SCHEDULE_CONSTANT] = { NULL },
    [SCHEDULE_CONSTANT_WITH_WARMUP] = { NULL },
    [SCHEDULE_INVERSE_SQRT] = { "timescale" },
    [SCHEDULE_COSINE_WITH_RESTARTS] = { "num_cycles" },
    [SCHEDULE_POLYNOMIAL] = { "lr_end", "power" },
    [SCHEDULE_COSINE_WITH_MIN_LR] = { "num_cycles", "min_lr", "min_lr_rate" },
    [SCHEDULE_COSINE_WARMUP_WITH_MIN_LR] = { "num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate" },
    [SCHEDULE_WARMUP_STABLE_DECAY] = { "num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio",
                                       "num_cycles" },
};

static int unknown_key(enum schedule_kind kind, const char *key, struct error *e)
{
    char list[200] = "";
    const char *near = opt_nearest(key, taken[kind]);
    for (int i = 0; taken[kind][i]; i++) {
        strcat(list, i ? ", " : "");
        strcat(list, taken[kind][i]);
    }
    if (near)
        return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs: %s takes no '%s': did you mean '%s'?", scheduler_names[kind],
                         key, near);
    return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs: %s takes no '%s', but %s", scheduler_names[kind], key,
                     *list ? list : "nothing");
}

/* A number from min to max, whole if so asked; 0 is not in it where `above` says so. */
struct range { double min, max; bool whole, above; };

static int number(const json_t *v, const char *key, struct range r, double *to, struct error *e)
{
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (x >= r.min && x <= r.max && (!r.whole || x == floor(x)) && (!r.above || x > 0)) {
        *to = x;
        return 0;
    }
    return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs: '%s' wants a %snumber %s %g", key, r.whole ? "whole " : "",
                     r.above ? "above" : r.max < MOST ? "from 0 to" : "from", r.above ? 0 : r.max < MOST ? r.max : r.min);
}

static int slope(const json_t *v, const char *key, enum slope *to, struct error *e)
{
    const char *word = json_string_value(v);
    for (int i = 0; word && slopes[i]; i++)
        if (!strcmp(word, slopes[i])) {
            *to = (enum slope)i;
            return 0;
        }
    return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs: '%s' wants linear, cosine or 1-sqrt", key);
}

static int steps(const json_t *v, const char *key, uint64_t *to, struct error *e)
{
    double x;
    if (number(v, key, (struct range){ .max = MOST, .whole = true }, &x, e) < 0)
        return -1;
    *to = (uint64_t)x;
    return 0;
}

static int key_read(struct schedule *s, const char *key, const json_t *v, struct error *e)
{
    const struct range positive = { .max = MOST, .above = true }, share = { .max = 1 }, any = { .max = MOST },
                       cycles = { .max = MOST, .above = true, .whole = s->kind == SCHEDULE_COSINE_WITH_RESTARTS };
    if (!strcmp(key, "num_cycles"))
        return number(v, key, cycles, &s->cycles, e);
    if (!strcmp(key, "timescale"))
        return number(v, key, positive, &s->timescale, e);
    if (!strcmp(key, "power"))
        return number(v, key, positive, &s->power, e);
    if (!strcmp(key, "lr_end"))
        return number(v, key, any, &s->end, e);
    if (!strcmp(key, "min_lr"))
        return number(v, key, (struct range){ .max = s->rate }, &s->least, e);
    if (!strcmp(key, "min_lr_rate") || !strcmp(key, "min_lr_ratio"))
        return number(v, key, share, &s->least, e);
    if (!strcmp(key, "warmup_lr_rate")) {
        s->has_first = true;
        return number(v, key, share, &s->first, e);
    }
    if (!strcmp(key, "num_stable_steps")) {
        s->has_stable = true;
        return steps(v, key, &s->stable, e);
    }
    if (!strcmp(key, "num_decay_steps"))
        return steps(v, key, &s->decay, e);
    return slope(v, key, !strcmp(key, "warmup_type") ? &s->rise : &s->fall, e);
}

/* What one says of another, and what must be there. */
static int whole_check(struct schedule *s, const json_t *given, struct error *e)
{
    bool min_lr = json_object_get(given, "min_lr"), min_rate = json_object_get(given, "min_lr_rate");
    const char *name = scheduler_names[s->kind];
    bool to_least = s->kind == SCHEDULE_COSINE_WITH_MIN_LR || s->kind == SCHEDULE_COSINE_WARMUP_WITH_MIN_LR;
    if (to_least && min_lr == min_rate)
        return error_set(e, STATUS_BAD, "--lr-scheduler-type %s wants one of min_lr and min_lr_rate in "
                                        "--lr-scheduler-kwargs, as {\"min_lr_rate\": 0.1}", name);
    if (min_lr && !(s->rate > 0))
        return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs: min_lr is no share of --learning-rate 0: give min_lr_rate");
    if (min_lr)
        s->least /= s->rate;
    if (s->kind == SCHEDULE_POLYNOMIAL && !(s->rate > s->end))
        return error_set(e, STATUS_BAD, "--lr-scheduler-type polynomial ends at lr_end %g, which must be less than "
                                        "--learning-rate %g", s->end, s->rate);
    if (s->kind == SCHEDULE_WARMUP_STABLE_DECAY && !json_object_get(given, "num_decay_steps"))
        return error_set(e, STATUS_BAD, "--lr-scheduler-type %s wants num_decay_steps in --lr-scheduler-kwargs, as "
                                        "{\"num_decay_steps\": 100}", name);
    return 0;
}

static bool takes(enum schedule_kind kind, const char *key)
{
    for (int i = 0; taken[kind][i]; i++)
        if (!strcmp(key, taken[kind][i]))
            return true;
    return false;
}

int scheduler_read(struct schedule *s, const char *type, const char *kwargs, double rate, json_t **json, struct error *e)
{
    size_t kind = 0;
    const char *key;
    json_t *value;
    while (strcmp(type, scheduler_names[kind]))
        kind++;
    *s = schedule_default((enum schedule_kind)kind);
    s->rate = rate;
    *json = kwargs ? json_parse(span_of((const uint8_t *)kwargs, strlen(kwargs)), "--lr-scheduler-kwargs", e) : NULL;
    if (kwargs && !*json)
        return -1;
    if (*json && !json_is_object(*json))
        return error_set(e, STATUS_BAD, "--lr-scheduler-kwargs wants a JSON object, as {\"num_cycles\": 2}");
    json_object_foreach(*json, key, value) {
        if (!takes(s->kind, key))
            return unknown_key(s->kind, key, e);
        if (!json_is_null(value) && key_read(s, key, value, e) < 0)
            return -1;
    }
    return whole_check(s, *json, e);
}
