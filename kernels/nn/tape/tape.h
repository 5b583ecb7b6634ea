/* kernels/nn/tape/tape.h - values, their gradients, and the memory of a step
 *
 * A model file is forward code written with the operations of ops.h.  In training
 * each operation records what its backward needs; tape_backward walks the records
 * in reverse.  What no gradient flows through is not recorded and costs nothing.
 *
 * Memory.  Values lie in one arena.  A dry run (tape_plan) executes the same forward
 * and backward without any arithmetic, so all lives are known, every place in the
 * arena (layout.h), and its size, which is printed before step 1; the real run repeats the same
 * allocations.  A value is freed when the backward of the operation that made it
 * is done; at the end of a segment also whatever no backward asked for.  Gradients
 * of parameters that are lent (param.h) take the place of values that are gone. */
#ifndef PENSTOCK_TAPE_H
#define PENSTOCK_TAPE_H

#include "kernels/linalg/compute.h"
#include "kernels/nn/param/param.h"
#include "kernels/nn/tape/layout.h"

enum tape_mode {
    TAPE_INFER,                 /* no records, no dropout: evaluation and generate */
    TAPE_TRAIN,
};

/* A matrix [rows, cols], row-major: rows are positions (of all rows of a batch, one
 * after another), cols are features.  Lives until the next tape_begin. */
struct tensor {
    size_t rows, cols;
    float *data;                /* one of the two: float32 */
    uint16_t *half;             /* or bfloat16, if the tape is narrow */
    float *grad;                /* during backward: NULL until something was added */
    uint16_t *grad_half;        /* or, of a bfloat16 value that one backward alone adds to, rounded too */
    size_t uses;                /* backwards that will add to it */
    struct joint *joint;        /* what of them waits to be done together */
    bool needs_grad;
    bool kept;                  /* some backward will read data */
    bool reread;                /* that of the operation that made it, too */
    bool narrow;                /* bfloat16, whether it has memory now or not */
    bool external;              /* data is not the arena's: inputs, caches */
    struct record *maker;       /* can make the values again, cheaply: between forward and backward they may be gone */
    bool gone;
    struct tensor *next;        /* of those made in the open segment */
};

/* How many bytes of the arena. */
struct tape_plan {
    size_t arena;               /* activations, their gradients, scratch, gradients that are lent */
    size_t used;                /* of it, at one time: the rest is gaps */
    size_t lent;                /* gradients of parameters, at the end */
    size_t forward;             /* of it, when the forward had ended: what backward reads */
    size_t loss;                /* of it, the loss's buffer of logits */
};

struct record;
struct block;

struct tape {                   /* fields are for reading outside kernels/nn */
    const struct compute *compute;
    enum tape_mode mode;
    bool dry;                   /* shapes and memory only */
    bool failed;                /* operations do nothing any more; why says it */
    char why[WHY];
    uint64_t key;               /* of this micro-batch, not 0: dropout is keyed by (key, operation, element) */
    bool narrow;                /* training in bfloat16: results that only products and activations read are stored so */
    uint64_t op;                /* number of the next operation that draws */
    bool recompute;             /* segments keep their inputs only (--gradient-checkpointing) */
    size_t loss_bytes;          /* bound of the loss's buffer; 256 MiB unless changed */

    /* called with each named value as it is made; for tests. May be NULL. */
    void (*tap)(void *ctx, const char *name, const struct tensor *x);
    void *tap_ctx;
    bool poison;                /* fill memory with NaN when it is given and when it is freed; for tests */

    /* private */
    uint8_t *base;
    size_t size;                /* of the arena in place */
    size_t used, high;          /* now; at most so far in this run */
    struct layout layouts[2];   /* where all lies: without late, and with */
    struct layout *layout;      /* the run's */
    size_t event, taken;        /* number of the next that takes or gives; that takes */
    size_t lent;                /* bytes of gradients lent in this run */
    struct param *borrower;     /* whose they are */
    bool late;                  /* gradients larger than what they are made of wait for the end (tape_later) */
    struct later *later;        /* the first of what waits */
    struct joint *joints;       /* of any tensor, during backward */
    struct block *blocks;       /* small things: tensors, records */
    struct block *block;
    struct record *last;
    struct tensor *made;        /* in the open segment */
    bool no_record;             /* inside a recomputed segment's first run */
    bool replaying;             /* inside its second */
    struct tape_plan plan;
    struct tensor nothing;      /* what operations return after a failure */
};

/* compute is borrowed.  NULL: out of memory. */
struct tape *tape_new(const struct compute *compute);
void tape_free(struct tape *t);

/* Starts a run: all tensors of the last one are gone, and the gradients that it lent.  key: see above. */
void tape_begin(struct tape *t, enum tape_mode mode, uint64_t key);
/* Runs every recorded backward, last first; gradients of parameters are added to
 * their grad.  Releases what it passed. */
void tape_backward(struct tape *t);
/* All values made so far are gone; the run goes on with others, whose gradients of parameters are added. */
void tape_clear(struct tape *t);

/* Does `run` dry, with key 0 (which stands for the worst case: nothing is left out by chance), and keeps its figures;
 * then the arena is made large enough (it only grows).  -1 with why: out of memory, or what the run said. */
int tape_reserve(struct tape *t, enum tape_mode mode, void (*run)(struct tape *t, void *ctx), void *ctx,
                 struct tape_plan *plan, char why[WHY]);
/* tape_reserve (which costs microseconds, and allocates only if this run is larger than
 * all before), then run itself.  -1 with why. */
int tape_run(struct tape *t, enum tape_mode mode, uint64_t key, void (*run)(struct tape *t, void *ctx), void *ctx,
             char why[WHY]);

/* Zeroed memory until the next tape_begin, for what operations are given as arrays.  NULL once failed. */
void *tape_small(struct tape *t, size_t bytes);

/* Marks the tape failed (the first reason is kept). */
void tape_fail(struct tape *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
