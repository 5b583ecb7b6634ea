/* tests/unit/schedule_test.c - the course of the learning rate beside transformers' get_scheduler */
#include <math.h>

#include "kernels/nn/optim/schedule.h"
#include "tap.h"

enum { STEPS = 12 };            /* some of them behind the last */

/* What differs from the defaults of the kind, and the factors that transformers 5.23 gave for a base rate of 1e-3. */
static const struct golden {
    const char *name;
    struct schedule s;
    double want[STEPS];
} table[] = {
    { "linear", { .kind = SCHEDULE_LINEAR, .warmup = 3, .total = 10 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 0.857142857142857, 0.714285714285714, 0.571428571428571,
        0.428571428571429, 0.285714285714286, 0.142857142857143, 0, 0 } },
    { "cosine", { .kind = SCHEDULE_COSINE, .warmup = 3, .total = 10, .cycles = 0.5 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 0.95048443395121, 0.811744900929367, 0.611260466978157,
        0.388739533021843, 0.188255099070633, 0.0495155660487905, 0, 0.0495155660487904 } },
    { "cosine", { .kind = SCHEDULE_COSINE, .warmup = 3, .total = 10, .cycles = 1.5 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 0.611260466978157, 0.0495155660487905, 0.188255099070633,
        0.811744900929367, 0.95048443395121, 0.388739533021843, 0, 0.388739533021843 } },
    { "constant_with_warmup", { .kind = SCHEDULE_CONSTANT_WITH_WARMUP, .warmup = 3, .total = 10 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
    { "inverse_sqrt", { .kind = SCHEDULE_INVERSE_SQRT, .warmup = 3, .total = 10 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 0.866025403784439, 0.774596669241483, 0.707106781186547,
        0.654653670707977, 0.612372435695794, 0.577350269189626, 0.547722557505166, 0.522232967867094 } },
    { "inverse_sqrt", { .kind = SCHEDULE_INVERSE_SQRT, .warmup = 0, .total = 10, .timescale = 5 },
      { 1, 0.912870929175277, 0.845154254728517, 0.790569415042095, 0.74535599249993, 0.707106781186547,
        0.674199862463242, 0.645497224367903, 0.620173672946042, 0.597614304667197, 0.577350269189626,
        0.559016994374947 } },
    { "cosine_with_restarts", { .kind = SCHEDULE_COSINE_WITH_RESTARTS, .warmup = 2, .total = 10, .cycles = 2 },
      { 0, 0.5, 1, 0.853553390593274, 0.5, 0.146446609406726, 1, 0.853553390593274, 0.5, 0.146446609406726, 0, 0 } },
    { "polynomial", { .kind = SCHEDULE_POLYNOMIAL, .warmup = 2, .total = 8, .rate = 1e-3, .end = 1e-7,
        .power = 1 },
      { 0, 0.5, 1, 0.83335, 0.6667, 0.50005, 0.3334, 0.16675, 0.0001, 0.0001, 0.0001, 0.0001 } },
    { "polynomial", { .kind = SCHEDULE_POLYNOMIAL, .warmup = 2, .total = 8, .rate = 1e-3, .power = 2,
        .end = 1e-4 },
      { 0, 0.5, 1, 0.725, 0.5, 0.325, 0.2, 0.125, 0.1, 0.1, 0.1, 0.1 } },
    { "cosine_with_min_lr", { .kind = SCHEDULE_COSINE_WITH_MIN_LR, .warmup = 3, .total = 10, .cycles = 0.5,
        .least = 0.1 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 0.955435990556089, 0.83057041083643, 0.650134420280341,
        0.449865579719659, 0.26942958916357, 0.144564009443911, 0.1, 0.144564009443911 } },
    { "cosine_warmup_with_min_lr", { .kind = SCHEDULE_COSINE_WARMUP_WITH_MIN_LR, .warmup = 3, .total = 10,
        .cycles = 0.5, .least = 0.1 },
      { 0.333333333333333, 0.666666666666667, 1, 0.955435990556089, 0.83057041083643, 0.650134420280341,
        0.449865579719659, 0.26942958916357, 0.144564009443911, 0.1, 0.144564009443911, 0.26942958916357 } },
    { "cosine_warmup_with_min_lr", { .kind = SCHEDULE_COSINE_WARMUP_WITH_MIN_LR, .warmup = 3, .total = 10,
        .cycles = 0.5, .least = 0.1, .has_first = true, .first = 0.2 },
      { 0.2, 0.6, 1, 0.955435990556089, 0.83057041083643, 0.650134420280341, 0.449865579719659,
        0.26942958916357, 0.144564009443911, 0.1, 0.144564009443911, 0.26942958916357 } },
    { "warmup_stable_decay", { .kind = SCHEDULE_WARMUP_STABLE_DECAY, .warmup = 3, .total = 10, .cycles = 0.5,
        .fall = SLOPE_COSINE, .decay = 4 },
      { 0, 0.333333333333333, 0.666666666666667, 1, 1, 1, 1, 0.853553390593274, 0.5, 0.146446609406726, 0, 0 } },
    { "warmup_stable_decay", { .kind = SCHEDULE_WARMUP_STABLE_DECAY, .warmup = 3, .total = 10, .cycles = 0.5,
        .decay = 4, .has_stable = true, .stable = 2, .rise = SLOPE_COSINE, .fall = SLOPE_1_SQRT, .least = 0.1 },
      { 0.1, 0.325, 0.775, 1, 1, 1, 0.55, 0.363603896932107, 0.220577136594005, 0.1, 0.1, 0.1 } },
    { "warmup_stable_decay", { .kind = SCHEDULE_WARMUP_STABLE_DECAY, .warmup = 3, .total = 10, .cycles = 0.5,
        .decay = 4, .rise = SLOPE_1_SQRT, .fall = SLOPE_LINEAR },
      { 0, 0.183503419072274, 0.422649730810374, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0 } },
    { "warmup_stable_decay", { .kind = SCHEDULE_WARMUP_STABLE_DECAY, .warmup = 3, .total = 6, .cycles = 0.5,
        .fall = SLOPE_COSINE, .decay = 5 },
      { 0, 0.333333333333333, 0.666666666666667, 0.654508497187474, 0.345491502812526, 0.0954915028125263, 0,
        0, 0, 0, 0, 0 } },
};

int main(void)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct golden *g = &table[i];
        double worst = 0;
        for (uint64_t step = 0; step < STEPS; step++) {
            double off = fabs(schedule_factor(&g->s, step) - g->want[step]);
            worst = off <= worst ? worst : off;
        }
        ok(worst <= 1e-14, "row %zu, %s: %g off at most", i, g->name, worst);
    }
    struct schedule constant = schedule_default(SCHEDULE_CONSTANT), wsd = schedule_default(SCHEDULE_WARMUP_STABLE_DECAY),
                    cosine = schedule_default(SCHEDULE_COSINE), hard = schedule_default(SCHEDULE_COSINE_WITH_RESTARTS);
    constant.warmup = 5;
    ok(schedule_factor(&constant, 0) == 1, "a constant rate has no warm-up");
    ok(cosine.cycles == 0.5 && hard.cycles == 1 && wsd.fall == SLOPE_COSINE && cosine.power == 1 && cosine.end == 1e-7,
       "defaults are transformers'");
    ok(!schedule_wants_total(&constant) && schedule_wants_total(&wsd) && schedule_wants_total(&cosine),
       "what decays to an end wants to know where that is");
    wsd.has_stable = true;
    ok(!schedule_wants_total(&wsd), "unless its own numbers say so");
    return done();
}
