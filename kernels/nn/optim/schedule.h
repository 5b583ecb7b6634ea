/* kernels/nn/optim/schedule.h - learning rate by step, exactly as transformers' schedulers (optimization.py) */
#ifndef PENSTOCK_SCHEDULE_H
#define PENSTOCK_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum schedule_kind {
    SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_CONSTANT, SCHEDULE_CONSTANT_WITH_WARMUP, SCHEDULE_INVERSE_SQRT,
    SCHEDULE_COSINE_WITH_RESTARTS, SCHEDULE_POLYNOMIAL, SCHEDULE_COSINE_WITH_MIN_LR, SCHEDULE_COSINE_WARMUP_WITH_MIN_LR,
    SCHEDULE_WARMUP_STABLE_DECAY,
};
enum slope { SLOPE_LINEAR, SLOPE_COSINE, SLOPE_1_SQRT };

struct schedule {
    enum schedule_kind kind;
    uint64_t warmup, total;     /* steps */
    double cycles;              /* num_cycles: waves of a cosine; starts of cosine_with_restarts */
    double timescale;           /* of inverse_sqrt; 0: the warm-up, or 10000 if there is none */
    double rate, end, power;    /* of polynomial: the base rate; lr_end; the exponent */
    double least;               /* where a decay ends, of the base rate: min_lr_rate, min_lr_ratio */
    bool has_first;             /* warmup_lr_rate of cosine_warmup_with_min_lr: */
    double first;               /* where its warm-up begins, of the base rate */
    bool has_stable;            /* num_stable_steps, else what warm-up and decay leave of total: */
    uint64_t stable, decay;     /* steps of warmup_stable_decay at the base rate; of its decay */
    enum slope rise, fall;      /* shapes of its warm-up and its decay */
};

/* With transformers' defaults for what its kind takes. */
struct schedule schedule_default(enum schedule_kind kind);
/* Does the factor depend on `total`? */
bool schedule_wants_total(const struct schedule *s);

/* The factor of the base rate in optimizer step `step` (from 0).  All but constant warm up over `warmup` steps: step /
 * warmup, so that the very first has rate 0.  Then, with p = (step - warmup) / max(1, total - warmup):
 *   linear                max(0, 1 - p)
 *   cosine                max(0, (1 + cos(2 pi cycles p)) / 2)
 *   cosine_with_restarts  the same of (cycles p mod 1) / 2 for cycles p; 0 from p = 1 on
 *   polynomial            ((rate - end) (1 - p)^power + end) / rate; end / rate behind total
 *   cosine_with_min_lr    cosine, scaled from [0, 1] to [least, 1]
 *   inverse_sqrt          1 / sqrt((step - warmup + t) / t), t the timescale
 *   constant_with_warmup  1
 * cosine_warmup_with_min_lr is one step ahead: it warms up by (step + 1) / warmup, or linearly from `first` to 1 in its
 * last step, and has step + 1 in p.  warmup_stable_decay rises from `least` to 1, stays, and falls to `least`: linearly,
 * by a cosine or by 1 - sqrt. */
double schedule_factor(const struct schedule *s, uint64_t step);

#endif
