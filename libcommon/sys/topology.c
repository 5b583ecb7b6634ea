/* libcommon/sys/topology.c - see topology.h */
#include "libcommon/sys/topology.h"

#include <hwloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 4096 };

/* Cores within the set that have a processor we may use. */
static int cores_in(hwloc_topology_t top, hwloc_const_cpuset_t set)
{
    int n = hwloc_get_nbobjs_inside_cpuset_by_type(top, set, HWLOC_OBJ_CORE);
    return n > 0 ? n : hwloc_get_nbobjs_inside_cpuset_by_type(top, set, HWLOC_OBJ_PU);
}

static hwloc_obj_t node_best(hwloc_topology_t top)
{
    hwloc_obj_t best = NULL, node = NULL;
    int most = 0;
    while ((node = hwloc_get_next_obj_by_type(top, HWLOC_OBJ_NUMANODE, node)))
        if (cores_in(top, node->cpuset) > most) {
            most = cores_in(top, node->cpuset);
            best = node;
        }
    return best;
}

static int node_choose(hwloc_topology_t top, struct placement *p, const char *choice, hwloc_obj_t *node, struct error *e)
{
    *node = NULL;
    if (!strcmp(choice, "none") || (!strcmp(choice, "auto") && p->nodes < 2))
        return 0;
    if (!strcmp(choice, "auto")) {
        *node = node_best(top);
        return 0;
    }
    char *end;
    unsigned long n = strtoul(choice, &end, 10);
    if (*choice < '0' || *choice > '9' || *end)
        return error_set(e, STATUS_BAD, "--numa-node wants auto, none or the number of a node, not '%s'", choice);
    *node = hwloc_get_numanode_obj_by_os_index(top, (unsigned)n);
    if (!*node || !cores_in(top, (*node)->cpuset))
        return error_set(e, STATUS_BAD, "--numa-node %s: this process may use no cores of such a node (it sees %d)",
                         choice, p->nodes);
    return 0;
}

/* One processor a core, core after core; then their second ones. */
static int *cpus_of(hwloc_topology_t top, hwloc_const_cpuset_t set, int threads)
{
    int *cpus = malloc((size_t)threads * sizeof *cpus);
    int n = 0, cores = hwloc_get_nbobjs_inside_cpuset_by_type(top, set, HWLOC_OBJ_CORE);
    for (int way = 0; cpus && n < threads; way++) {
        int before = n;
        for (int i = 0; n < threads && i < cores; i++) {
            hwloc_obj_t core = hwloc_get_obj_inside_cpuset_by_type(top, set, HWLOC_OBJ_CORE, (unsigned)i);
            hwloc_obj_t pu = hwloc_get_obj_inside_cpuset_by_type(top, core->cpuset, HWLOC_OBJ_PU, (unsigned)way);
            if (pu)
                cpus[n++] = (int)pu->os_index;
        }
        if (n == before) {      /* more threads than processors: let the scheduler place them */
            free(cpus);
            return NULL;
        }
    }
    return cpus;
}

int placement_choose(struct placement *p, const char *choice, int64_t threads, struct error *e)
{
    *p = (struct placement){ .node = -1 };
    hwloc_topology_t top;
    if (hwloc_topology_init(&top) < 0)
        return error_set(e, STATUS_AGAIN, "out of memory for the machine's topology");
    if (hwloc_topology_load(top) < 0) {
        hwloc_topology_destroy(top);
        return error_set(e, STATUS_AGAIN, "cannot read the machine's topology");
    }
    p->nodes = hwloc_get_nbobjs_by_type(top, HWLOC_OBJ_NUMANODE);
    hwloc_obj_t node;
    int rc = node_choose(top, p, choice, &node, e);
    if (rc == 0) {
        hwloc_const_cpuset_t set = node ? node->cpuset : hwloc_topology_get_allowed_cpuset(top);
        p->cores = cores_in(top, set);
        p->threads = threads > 0 ? (int)(threads < THREADS_MAX ? threads : THREADS_MAX) : p->cores > 0 ? p->cores : 1;
        bool real = hwloc_topology_is_thissystem(top);
        if (node) {
            p->node = (int)node->os_index;
            if (real) {
                p->cpus = cpus_of(top, set, p->threads);
                (void)hwloc_set_membind(top, node->nodeset, HWLOC_MEMBIND_BIND,
                                        HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_PROCESS);
            }
        }
    }
    hwloc_topology_destroy(top);
    return rc;
}

void placement_release(struct placement *p)
{
    free(p->cpus);
    *p = (struct placement){ .node = -1 };
}
