/* kernels/nn/optim/schedule.c - see schedule.h */
#include "kernels/nn/optim/schedule.h"

#include <math.h>

double schedule_factor(enum schedule kind, uint64_t step, uint64_t warmup, uint64_t total)
{
    if (kind == SCHEDULE_CONSTANT)
        return 1;
    if (step < warmup)
        return (double)step / (double)warmup;
    if (kind == SCHEDULE_CONSTANT_WITH_WARMUP)
        return 1;
    if (kind == SCHEDULE_INVERSE_SQRT) {
        double scale = warmup ? (double)warmup : 10000;
        return 1 / sqrt(((double)(step - warmup) + scale) / scale);
    }
    double rest = total > warmup ? (double)(total - warmup) : 1, p = (double)(step - warmup) / rest;
    double f = kind == SCHEDULE_LINEAR ? 1 - p : (1 + cos(3.141592653589793 * p)) / 2;
    return f > 0 ? f : 0;
}
