/* libcommon/sys/topology.h - cores and memory nodes of this machine, by hwloc
 *
 * Reads of a weight from another node's memory cost twice the time, so that the
 * threads of one computation and its memory are kept on one node.  On a machine
 * with one node nothing is bound: the scheduler does better.  HWLOC_SYNTHETIC
 * ("node:2 core:4 pu:2") gives another machine to test with; nothing is bound there. */
#ifndef PENSTOCK_TOPOLOGY_H
#define PENSTOCK_TOPOLOGY_H

#include <stdint.h>

#include "libcommon/sys/error.h"

struct placement {
    int nodes;                  /* memory nodes that this process may use */
    int node;                   /* chosen, by the system's number; -1: none */
    int cores;                  /* that the choice has */
    int threads;
    int *cpus;                  /* one a thread, to pin it to; NULL: free */
};

/* choice: "auto" (with several nodes the one with most free cores, the first of
 * equals), "none", or a node's number.  threads 0: as many as cores.  With a
 * node, memory taken from now on comes from it where there is room. */
int placement_choose(struct placement *p, const char *choice, int64_t threads, struct error *e);
void placement_release(struct placement *p);

#endif
