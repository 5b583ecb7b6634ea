/* kernels/nn/optim/schedule.h - learning rate by step, exactly as transformers' schedulers */
#ifndef PENSTOCK_SCHEDULE_H
#define PENSTOCK_SCHEDULE_H

#include <stdint.h>

enum schedule { SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_CONSTANT, SCHEDULE_CONSTANT_WITH_WARMUP, SCHEDULE_INVERSE_SQRT };

/* The factor of the base rate in optimizer step `step` (from 0), warming up over
 * `warmup` steps: step / max(1, warmup), so the very first step has rate 0 if
 * warmup > 0.  Then of the rest, p = (step - warmup) / max(1, total - warmup):
 *   linear max(0, 1 - p);  cosine max(0, (1 + cos(pi p)) / 2);  constant_with_warmup 1.
 * inverse_sqrt, with w the warm-up, or 10000 if there is none: 1 / sqrt((step - warmup + w) / w).
 * constant: 1 from the first step, whatever the warm-up. */
double schedule_factor(enum schedule kind, uint64_t step, uint64_t warmup, uint64_t total);

#endif
