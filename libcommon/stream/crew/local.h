/* libcommon/stream/crew/local.h - fan between two pipes: units out to the copies of a pipeline, back in their order */
#ifndef PENSTOCK_LOCAL_H
#define PENSTOCK_LOCAL_H

#include "libcommon/cli/opt.h"
#include "libcommon/stream/crew/crew.h"

struct fan {
    struct pipeline pipeline;
    int copies;
    struct cpus cpus;
    double timeout;             /* seconds a copy may hold a unit; 0: for ever */
    uint64_t budget;            /* bytes of units between in and out */
};

/* Until the end of the input.  Returns the exit status; what failed has been said. */
int fan_local(const struct fan *f, const struct common *c);

#endif
