/* kernels/linalg/compute.h - what every kernel computes with: threads, and the table of variants
 *
 * A struct compute is made once and passed down; there are no globals.
 * The same inputs give the same bits for any number of threads: work is cut
 * into tasks by shape alone, a task sums in a fixed order, and no two tasks
 * add to one element. */
#ifndef PENSTOCK_COMPUTE_H
#define PENSTOCK_COMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHY = 256 };             /* room for a reason: functions that can fail for one take char why[WHY] */

struct team;                    /* a fixed set of threads; the caller is one of them */

/* threads >= 1.  cpus: the processors to pin them to, or NULL.  NULL out of memory or no thread. */
struct team *team_new(int threads, const int *cpus);
void team_free(struct team *team);
int team_size(const struct team *team);
/* Calls task(ctx, i, worker) once for every i < tasks and returns when all are
 * done; worker < team_size says whose scratch may be used.  Which worker takes
 * which task is not fixed; results must not depend on it.  Not reentrant. */
void team_run(struct team *team, size_t tasks, void (*task)(void *ctx, size_t i, int worker), void *ctx);

/* Tasks that nobody waits for yet: half of the threads do them, about in order, before they help with
 * runs; it is for work that waits for memory, of which a few threads get as much as all.  A list
 * that was there is done first.  task, ctx and what they touch stay until team_behind_end, or team_free,
 * which does no more of it.  -1: out of memory, and nothing is begun. */
int team_behind(struct team *team, size_t tasks, void (*task)(void *ctx, size_t i, int worker), void *ctx);
/* Between runs.  Returns when tasks from ... to - 1 of the list are done, by whoever is free if nobody has begun. */
void team_need(struct team *team, size_t from, size_t to);
void team_behind_end(struct team *team);

/* Memory for intermediates, in huge pages where the system gives them, taken when first
 * touched: of each worker alone, and of all.  Whatever uses it owns it within one
 * call: it holds nothing from one call of kernels/linalg to the next. */
enum { TEAM_SCRATCH = 4 << 20, TEAM_SHARED = 96 << 20 };
void *team_scratch(const struct team *team, int worker);        /* TEAM_SCRATCH bytes */
void *team_shared(const struct team *team);                     /* TEAM_SHARED bytes */

struct kernels;                 /* the variants in force: kernels/linalg/dispatch.h */

struct compute {
    struct team *team;
    const struct kernels *k;
    bool bf16;                  /* products of weights in bfloat16, sums in float32 */
};

/* cap: the value of PENSTOCK_KERNELS or NULL (the best this processor has):
 * "ref", "avx2", "avx512", "avx512bf16", "neon".  NULL if there is no such variant here. */
const struct kernels *kernels_choose(const char *cap);
const char *kernels_name(const struct kernels *k);

#endif
