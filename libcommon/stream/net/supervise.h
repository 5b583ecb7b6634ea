/* libcommon/stream/net/supervise.h - a WORKER's process: LP1 on one side, a crew of children on the other
 *
 * Every filter with endpoints at both ends is one, with a single child, the same
 * program between pipes; fan is one with N copies of a pipeline. */
#ifndef PENSTOCK_SUPERVISE_H
#define PENSTOCK_SUPERVISE_H

#include "libcommon/stream/crew/local.h"

/* Until the run is over.  Returns the exit status; what failed has been said. */
int worker_supervise(const struct fan *f, const struct common *c);
/* The same for this very program, which then calls itself with --in - --out -. */
int worker_supervise_self(const struct common *c);

#endif
