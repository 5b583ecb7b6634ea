/* cmd/shared/cli/machine.c - see machine.h */
#include "cmd/shared/cli/machine.h"

#include <stdlib.h>

int machine_open(struct machine *m, int64_t threads, const char *numa, struct error *e)
{
    *m = (struct machine){ 0 };
    if (placement_choose(&m->placement, numa, threads, e) < 0)
        return -1;
    const char *cap = getenv("PENSTOCK_KERNELS");
    m->compute.k = kernels_choose(cap);
    if (!m->compute.k) {
        machine_close(m);
        return error_set(e, STATUS_BAD, "PENSTOCK_KERNELS='%s': there is no such variant on this machine", cap ? cap : "");
    }
    m->compute.team = team_new(m->placement.threads, m->placement.cpus);
    if (m->compute.team)
        return 0;
    int n = m->placement.threads;
    machine_close(m);
    return error_set(e, STATUS_AGAIN, "cannot start %d threads", n);
}

void machine_close(struct machine *m)
{
    if (m->compute.team)
        team_free(m->compute.team);
    placement_release(&m->placement);
    *m = (struct machine){ 0 };
}
