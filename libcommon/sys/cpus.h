/* libcommon/sys/cpus.h - which processors preprocessing may use, so that it stays off the trainer's */
#ifndef PENSTOCK_CPUS_H
#define PENSTOCK_CPUS_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/sys/error.h"

enum { CPUS_MAX = 1024 };

struct cpus {
    bool bound;                 /* to `set`; otherwise anywhere */
    int nice;                   /* added to the process's niceness */
    unsigned char set[CPUS_MAX / 8];
};

/* choice: "auto": with several memory nodes all but the one that train-step takes, with one
 * node everywhere, but nice; "none" (or NULL): anywhere; or a list like "0-3,8". */
int cpus_choose(const char *choice, struct cpus *c, struct error *e);
/* Where the calling thread may run now. */
void cpus_current(struct cpus *c);
/* The calling process, and what it starts.  Safe between fork and exec; failure is no harm. */
void cpus_bind(const struct cpus *c);

#endif
