/* tests/unit/lp1_model.h - a simulated network of LP1's own state machines, with everything going wrong
 *
 * One run is a HEAD, workers, a TAIL with delayed checkpoints, and maybe a hub
 * between two pools.  Processes are killed (the other side may still get a
 * prefix of what they sent), connections break, workers join and leave, units
 * kill children, all by a seed. */
#ifndef PENSTOCK_LP1_MODEL_H
#define PENSTOCK_LP1_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct model_plan {
    uint64_t seed, units;
    int workers;                /* in each pool, at the start */
    bool hub, quick;            /* quick: workers take no time, so that queues are deep and messages carry many units */
    int kills, breaks, joins, leaves;   /* at most so many of each */
    uint64_t window;            /* the TAIL's budget, in units of the largest size */
};

struct model_result {
    bool finished;              /* all processes left by themselves */
    bool right;                 /* the consumer's state is the fault-free fold's, each unit was seen in order */
    bool bounded;               /* no side ever held more than its window */
    long leaked;                /* bodies not freed */
    int head_kills, tail_kills, worker_kills, hub_kills;
    uint64_t duplicates, refused, batches;      /* batches: messages with more than one unit */
    double seconds;             /* simulated */
    char why[200];
};

void model_run(const struct model_plan *p, struct model_result *r);

#endif
