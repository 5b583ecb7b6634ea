/* cmd/shared/cli/machine.h - what computes: the threads, where they are kept, the kernels in force */
#ifndef PENSTOCK_MACHINE_H
#define PENSTOCK_MACHINE_H

#include "kernels/linalg/compute.h"
#include "libcommon/sys/error.h"
#include "libcommon/sys/topology.h"

struct machine {
    struct compute compute;
    struct placement placement;
};

/* threads: 0 for one a core.  numa: "auto", "none" or a node's number.
 * PENSTOCK_KERNELS in the environment forces a variant. */
int machine_open(struct machine *m, int64_t threads, const char *numa, struct error *e);
void machine_close(struct machine *m);

#endif
