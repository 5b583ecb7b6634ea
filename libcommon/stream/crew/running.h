/* libcommon/stream/crew/running.h - the processes of a pipeline, each a child of ours, so that the death of any is seen
 *
 * sh -c would show the status of the last one only. */
#ifndef PENSTOCK_RUNNING_H
#define PENSTOCK_RUNNING_H

#include <stdbool.h>
#include <sys/types.h>

#include "libcommon/stream/crew/pipeline.h"
#include "libcommon/sys/cpus.h"

struct running {
    pid_t pid[PIPELINE_STAGES];         /* 0: reaped */
    int status[PIPELINE_STAGES];        /* of wait(2), once reaped */
    int n, in, out;                     /* our ends of its pipes, non-blocking; -1 closed */
};
int running_start(const struct pipeline *p, const struct cpus *cpus, struct running *r, struct error *e);
/* Kills what still runs, waits for all, closes.  patience: milliseconds in which what has closed
 * its output may end by itself, so that it is known how. */
void running_kill(struct running *r, int patience);
/* Waits for all (whose input has been closed). */
void running_wait(struct running *r);
/* After kill or wait: which stage failed first in the line, and how, in words; -1: none did. */
int running_culprit(const struct pipeline *p, const struct running *r, char *how, size_t size, int *status);

#endif
