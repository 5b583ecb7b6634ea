/* tests/unit/topology_test.c - where threads are put, on machines that hwloc makes up */
#include <stdlib.h>

#include "libcommon/sys/topology.h"
#include "tests/unit/tap.h"

static struct placement choose(const char *machine, const char *choice, int64_t threads)
{
    struct placement p;
    struct error e = { 0 };
    setenv("HWLOC_SYNTHETIC", machine, 1);
    if (placement_choose(&p, choice, threads, &e) < 0)
        p = (struct placement){ .node = -2, .threads = -e.status };
    return p;
}

int main(void)
{
    struct placement p = choose("node:1 core:4 pu:2", "auto", 0);
    ok(p.node == -1 && p.threads == 4 && p.nodes == 1, "one node: nothing is bound, a thread a core (%d)", p.threads);
    p = choose("node:2 core:4 pu:2", "auto", 0);
    ok(p.node == 0 && p.cores == 4 && p.threads == 4, "two equal nodes: the first, and its 4 cores (node %d, %d)",
       p.node, p.threads);
    p = choose("node:2 core:4 pu:2", "1", 3);
    ok(p.node == 1 && p.threads == 3, "a node that was asked for, and a number of threads");
    p = choose("node:2 core:4 pu:2", "none", 0);
    ok(p.node == -1 && p.threads == 8, "none: all 8 cores (%d)", p.threads);
    p = choose("node:2 core:4 pu:2", "7", 0);
    ok(p.node == -2 && p.threads == -STATUS_BAD, "a node that is not there is refused");
    p = choose("node:2 core:4 pu:2", "first", 0);
    ok(p.node == -2 && p.threads == -STATUS_BAD, "so is a word");
    unsetenv("HWLOC_SYNTHETIC");
    struct error e = { 0 };
    int rc = placement_choose(&p, "auto", 0, &e);
    ok(rc == 0 && p.threads >= 1, "this machine has a core (%d nodes, %d cores)", p.nodes, p.cores);
    placement_release(&p);
    rc = placement_choose(&p, "0", 1, &e);
    ok(rc == 0 ? p.node == 0 && p.threads == 1 : e.status == STATUS_BAD, "its node 0 can be bound to, or that is said");
    placement_release(&p);
    return done();
}
