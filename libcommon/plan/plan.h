/* libcommon/plan/plan.h - which items make unit q: the order of a run as arithmetic
 *
 * Items are the rows of a manifest or the samples of a recorded stream.  Each
 * epoch goes through all of them, in their order or shuffled, `unit` at a time;
 * the last unit of an epoch may be shorter, and none straddles two epochs.
 * Sequence numbers go on counting over the epochs.
 *
 * Everything is a pure function of the struct and costs O(1), so a run may begin
 * anywhere.  Runs rest on the order staying as it is: a change of the shuffle is
 * a new PLAN_VERSION, which belongs into the hash that names a run. */
#ifndef PENSTOCK_PLAN_H
#define PENSTOCK_PLAN_H

#include "libcommon/sys/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLAN_VERSION = 1 };

struct plan {
    uint64_t items;             /* of one epoch, at least 1 */
    uint64_t epochs;            /* at least 1 */
    uint64_t unit;              /* items a unit, at least 1 */
    bool shuffle;
    uint64_t seed;              /* of the shuffle */
};

struct plan_slice {             /* positions [first, first + k) of an epoch */
    uint64_t epoch, first, k;
};

/* -1 (STATUS_BAD) if a number is 0 or the run has more than 2^63 items. */
int plan_check(const struct plan *p, struct error *e);
uint64_t plan_units_an_epoch(const struct plan *p);
uint64_t plan_units(const struct plan *p);              /* of all epochs: q is below this */
struct plan_slice plan_slice(const struct plan *p, uint64_t q);
/* Which item stands at `position` (< items) of an epoch. */
uint64_t plan_item(const struct plan *p, uint64_t epoch, uint64_t position);

#endif
