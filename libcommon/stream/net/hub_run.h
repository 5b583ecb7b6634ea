/* libcommon/stream/net/hub_run.h - a HUB's process */
#ifndef PENSTOCK_HUB_RUN_H
#define PENSTOCK_HUB_RUN_H

#include "libcommon/cli/opt.h"
#include "libcommon/sys/error.h"

struct hub_ends {
    const char *head;           /* connected to */
    const char *above, *below;  /* bound: the pool above delivers; the pool below and the consumer connect */
    uint64_t bytes;             /* held for each side; 0: 256 MiB */
    int (*watch)(void *ctx, struct error *e);   /* now and then; -1 ends the hub with e.  NULL: nothing to watch */
    void *watch_ctx;
};

/* Until the run is over; returns the exit status, what failed has been said. */
int hub_run(const struct hub_ends *ends, const struct common *c);

#endif
