/* cmd/train-step/steps/rate.c - see rate.h */
#include "cmd/train-step/steps/rate.h"

#include <math.h>

bool rate_wants_total(const struct options *o)
{
    return schedule_wants_total(&o->schedule) || (o->warmup_ratio > 0 && o->schedule.kind != SCHEDULE_CONSTANT);
}

double rate_now(const struct trainer *t)
{
    const struct options *o = t->o;
    struct schedule s = o->schedule;
    s.total = t->state.total;   /* which grows where another stream follows */
    s.warmup = o->warmup_steps ? (uint64_t)o->warmup_steps : (uint64_t)ceil(o->warmup_ratio * (double)s.total);
    return o->learning_rate * schedule_factor(&s, t->state.step);
}
