/* libcommon/stream/lp1/hub_run.h - a HUB's process */
#ifndef PENSTOCK_LP1_HUB_RUN_H
#define PENSTOCK_LP1_HUB_RUN_H

#include "libcommon/sys/opt.h"

/* c->in: bound, workers of the pool above deliver there; c->out: bound, the pool below and the
 * consumer connect to it; head: connected to.  Until the run is over; returns the exit status. */
int hub_run(const char *head, uint64_t bytes, const struct common *c);

#endif
