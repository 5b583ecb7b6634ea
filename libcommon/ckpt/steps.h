/* libcommon/ckpt/steps.h - the directories step-000500 of a destination: names, leftovers, limit */
#ifndef PENSTOCK_CKPT_STEPS_H
#define PENSTOCK_CKPT_STEPS_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* DEST/[before]step-000500[after]; malloc'd, NULL out of memory. */
char *step_path(const char *dest, const char *before, uint64_t step, const char *after);
/* Removes what a kill left half written or half removed; a checkpoint that was
 * only set aside for one that never came gets its name back. */
int steps_clean(const char *dest, struct error *e);
/* Keeps `limit` checkpoints (0: all): the newest, the best (0: none), then the
 * latest before it.  Steps beyond the newest are of an abandoned run and go first. */
int steps_limit(const char *dest, uint64_t limit, uint64_t newest, uint64_t best, struct error *e);

#endif
