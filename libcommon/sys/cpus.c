/* libcommon/sys/cpus.c - see cpus.h */
#include "libcommon/sys/cpus.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "libcommon/sys/topology.h"

enum { NICE = 5 };

static void set_one(struct cpus *c, unsigned i)
{
    if (i < CPUS_MAX)
        c->set[i / 8] = (unsigned char)(c->set[i / 8] | 1u << i % 8);
}

static int list_read(const char *text, struct cpus *c, struct error *e)
{
    const char *p = text;
    c->bound = true;
    while (*p) {
        char *end;
        unsigned long lo = strtoul(p, &end, 10), hi = lo;
        bool good = end != p && *p >= '0' && *p <= '9';
        if (good && *end == '-') {
            p = end + 1;
            hi = strtoul(p, &end, 10);
            good = end != p && hi >= lo;
        }
        if (!good || hi >= CPUS_MAX || (*end && *end != ','))
            return error_set(e, STATUS_BAD, "'%s' is no list of processors below %d, like 0-3,8 (nor auto, nor none)",
                             text, CPUS_MAX);
        for (unsigned long i = lo; i <= hi; i++)
            set_one(c, (unsigned)i);
        p = *end ? end + 1 : end;
    }
    return p == text ? error_set(e, STATUS_BAD, "an empty list of processors") : 0;
}

/* All that this process may use, but for the node with this number. */
static bool all_but(int node, struct cpus *c)
{
    hwloc_topology_t t;
    bool found = false;
    if (hwloc_topology_init(&t) < 0)
        return false;
    if (hwloc_topology_load(t) == 0) {
        hwloc_obj_t o = hwloc_get_numanode_obj_by_os_index(t, (unsigned)node);
        hwloc_bitmap_t rest = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(t));
        if (o && rest) {
            int i;
            hwloc_bitmap_andnot(rest, rest, o->cpuset);
            for (i = hwloc_bitmap_first(rest); i >= 0; i = hwloc_bitmap_next(rest, i)) {
                set_one(c, (unsigned)i);
                found = true;
            }
        }
        hwloc_bitmap_free(rest);
    }
    hwloc_topology_destroy(t);
    return found;
}

int cpus_choose(const char *choice, struct cpus *c, struct error *e)
{
    *c = (struct cpus){ 0 };
    if (!choice || !strcmp(choice, "none"))
        return 0;
    if (strcmp(choice, "auto"))
        return list_read(choice, c, e);
    struct placement p;
    if (placement_choose(&p, "auto", 1, e) < 0)
        return -1;
    c->bound = p.nodes > 1 && p.node >= 0 && all_but(p.node, c);
    c->nice = c->bound ? 0 : NICE;
    placement_release(&p);
    return 0;
}

void cpus_current(struct cpus *c)
{
    *c = (struct cpus){ 0 };
#ifdef __linux__
    cpu_set_t set;
    c->bound = sched_getaffinity(0, sizeof set, &set) == 0;
    for (unsigned i = 0; c->bound && i < CPUS_MAX && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            set_one(c, i);
#endif
}

void cpus_bind(const struct cpus *c)
{
#ifdef __linux__
    if (c->bound) {
        cpu_set_t set;
        CPU_ZERO(&set);
        for (unsigned i = 0; i < CPUS_MAX; i++)
            if (c->set[i / 8] >> i % 8 & 1)
                CPU_SET(i, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
#endif
    if (c->nice && nice(c->nice) < 0)
        return;                                 /* no harm */
}
