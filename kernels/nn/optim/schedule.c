/* kernels/nn/optim/schedule.c - see schedule.h
 *
 * Sums and products are in transformers' order, so that the numbers are theirs to the last bit. */
#include "kernels/nn/optim/schedule.h"

#include <math.h>

#define PI 3.141592653589793

struct schedule schedule_default(enum schedule_kind kind)
{
    return (struct schedule){ .kind = kind, .cycles = kind == SCHEDULE_COSINE_WITH_RESTARTS ? 1 : 0.5, .end = 1e-7,
                              .power = 1, .fall = SLOPE_COSINE };
}

bool schedule_wants_total(const struct schedule *s)
{
    switch (s->kind) {
    case SCHEDULE_CONSTANT:
    case SCHEDULE_CONSTANT_WITH_WARMUP:
    case SCHEDULE_INVERSE_SQRT:
        return false;
    case SCHEDULE_WARMUP_STABLE_DECAY:
        return !s->has_stable;
    default:
        return true;
    }
}

static double at_least_1(double x) { return x > 1 ? x : 1; }

static double at_least_0(double x) { return x > 0 ? x : 0; }

/* From 1 down to `least`, where f goes from 1 to 0. */
static double lifted(double f, double least) { return at_least_0(f * (1 - least) + least); }

static double cosine(double cycles, double p) { return 0.5 * (1.0 + cos(PI * cycles * 2.0 * p)); }

static double warmup_ahead(const struct schedule *s, double step, double warmup)
{
    return s->has_first ? s->first + (1.0 - s->first) * step / at_least_1(warmup - 1) : (step + 1.0) / at_least_1(warmup);
}

static double polynomial(const struct schedule *s, double step, double warmup, double total)
{
    if (step > total)
        return s->end / s->rate;
    double left = 1 - (step - warmup) / at_least_1(total - warmup);
    return ((s->rate - s->end) * pow(left, s->power) + s->end) / s->rate;
}

static double stable_decay(const struct schedule *s, double step, double warmup, double total)
{
    double decay = (double)s->decay, stable = s->has_stable ? (double)s->stable : total - warmup - decay, f = 0;
    if (step < warmup) {
        double p = step / at_least_1(warmup);
        f = s->rise == SLOPE_LINEAR ? p : s->rise == SLOPE_COSINE ? 0.5 * (1.0 - cos(PI * p)) : 1.0 - sqrt(1.0 - p);
        return lifted(f, s->least);
    }
    if (step < warmup + stable)
        return 1;
    if (step >= warmup + stable + decay)
        return s->least;
    double p = (step - warmup - stable) / at_least_1(decay);
    f = s->fall == SLOPE_LINEAR ? 1.0 - p : s->fall == SLOPE_COSINE ? cosine(s->cycles, p) : 1.0 - sqrt(p);
    return lifted(f, s->least);
}

double schedule_factor(const struct schedule *s, uint64_t at)
{
    double step = (double)at, warmup = (double)s->warmup, total = (double)s->total;
    double rest = at_least_1(total - warmup), p = (step - warmup) / rest;
    double timescale = s->timescale > 0 ? s->timescale : warmup > 0 ? warmup : 10000;
    if (s->kind == SCHEDULE_CONSTANT)
        return 1;
    if (s->kind == SCHEDULE_WARMUP_STABLE_DECAY)
        return stable_decay(s, step, warmup, total);
    if (step < warmup)
        return s->kind == SCHEDULE_COSINE_WARMUP_WITH_MIN_LR ? warmup_ahead(s, step, warmup) : step / warmup;
    switch (s->kind) {
    case SCHEDULE_LINEAR:
        return at_least_0((total - step) / rest);
    case SCHEDULE_COSINE:
        return at_least_0(cosine(s->cycles, p));
    case SCHEDULE_COSINE_WITH_RESTARTS:
        return p >= 1 ? 0 : at_least_0(0.5 * (1.0 + cos(PI * fmod(s->cycles * p, 1.0))));
    case SCHEDULE_POLYNOMIAL:
        return polynomial(s, step, warmup, total);
    case SCHEDULE_INVERSE_SQRT:
        return 1 / sqrt((step + (timescale - warmup)) / timescale);
    case SCHEDULE_COSINE_WITH_MIN_LR:
        return lifted(cosine(s->cycles, p), s->least);
    case SCHEDULE_COSINE_WARMUP_WITH_MIN_LR:
        return lifted(cosine(s->cycles, (step - warmup + 1.0) / rest), s->least);
    default:
        return 1;
    }
}
