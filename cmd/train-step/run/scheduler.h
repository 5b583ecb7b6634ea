/* cmd/train-step/run/scheduler.h - --lr-scheduler-type and --lr-scheduler-kwargs, as transformers' get_scheduler has them */
#ifndef PENSTOCK_TRAIN_SCHEDULER_H
#define PENSTOCK_TRAIN_SCHEDULER_H

#include <jansson.h>

#include "kernels/nn/optim/schedule.h"
#include "libcommon/sys/error.h"

extern const char *const scheduler_names[];     /* in the order of enum schedule_kind, then NULL */

/* The course that `type`, one of them, and kwargs (a JSON object's text; NULL: none) ask for, without its steps.
 * rate: --learning-rate.  *json: what kwargs holds, the caller's; NULL: none.  A key that the type does not take, or a
 * value that cannot be, is an error. */
int scheduler_read(struct schedule *s, const char *type, const char *kwargs, double rate, json_t **json, struct error *e);

#endif
