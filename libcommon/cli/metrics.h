/* libcommon/cli/metrics.h - JSON lines for machines (--metrics FILE)
 *
 * Each line is one JSON object and one write(2); the file is appended to, so
 * that a resumed run goes on where it was.  Non-finite numbers become null. */
#ifndef PENSTOCK_METRICS_H
#define PENSTOCK_METRICS_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct metrics;
/* path NULL: returns NULL, which the other calls take and ignore; "-" is standard error. NULL with e->status set: failed. */
struct metrics *metrics_open(const char *path, struct error *e);
void metrics_begin(struct metrics *m);
void metrics_int(struct metrics *m, const char *key, int64_t v);
void metrics_real(struct metrics *m, const char *key, double v);
void metrics_str(struct metrics *m, const char *key, const char *v);
int metrics_end(struct metrics *m, struct error *e);    /* writes the line */
void metrics_close(struct metrics *m);

uint64_t peak_memory_bytes(void);       /* largest resident size of this process so far */

#endif
