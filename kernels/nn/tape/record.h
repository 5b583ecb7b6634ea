/* kernels/nn/tape/record.h - what operations are built from: memory, records, the team; private to kernels/nn
 *
 * An operation allocates its result, computes unless tape_live() says no, and, if
 * a gradient will come, leaves a record: a struct that begins with struct record
 * and holds what the backward needs.  It must allocate and release the same, dry or not. */
#ifndef PENSTOCK_RECORD_H
#define PENSTOCK_RECORD_H

#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/nn/ops.h"

struct record {
    struct record *before;
    /* out[0]->grad is there, unless no gradient came: then it is not called */
    void (*backward)(struct tape *t, struct record *r);
    struct tensor *out[SEGMENT_VALUES];
    size_t n_out;
    void (*again)(struct tape *t, struct record *r);        /* fills out[0] anew, or NULL */
    struct tensor *rounds;      /* whose gradient is out[0]'s, rounded, and may be there already (tensor_grad_rounded); or NULL */
    bool always;                /* called even without a gradient (the loss, which begins them) */
    /* backward takes out[0]'s gradient in either type (tensor_grads); else it is made float32 before */
    bool reads_half;
};

/* Work that a backward leaves for the end of tape_backward, when the activations are gone: begins a
 * struct from tape_small.  If t->late: then the plan found that it needs less memory so. */
struct later {
    struct later *next;
    void (*run)(struct tape *t, struct later *j);
};
void tape_later(struct tape *t, struct later *j, void (*run)(struct tape *t, struct later *j));

/* What several backwards that add to x's gradient do together: begins a struct from tape_small.  It is run
 * when x's own backward is next, so that nobody adds after it, or, if there is none, at the end of all. */
struct joint {
    struct joint *next;
    struct tensor *x;
    void (*run)(struct tape *t, struct joint *j);
};
/* Sets x->joint, which stays until it is run. */
void tape_joint(struct tape *t, struct joint *j, struct tensor *x, void (*run)(struct tape *t, struct joint *j));

/* Arena memory, 64-byte aligned, unset; the sizes must be the same at both ends.  NULL once failed. */
void *arena_take(struct tape *t, size_t bytes);
void arena_give(struct tape *t, void *p, size_t bytes);
/* For the rest of the run, and until the next begins. */
void *arena_lend(struct tape *t, size_t bytes);
/* False in a dry run and after a failure: no arithmetic then. */
static inline bool tape_live(const struct tape *t) { return !t->dry && !t->failed; }

struct tensor *tensor_make(struct tape *t, size_t rows, size_t cols);
/* a tensor for memory from arena_take */
struct tensor *tensor_wrap(struct tape *t, float *data, size_t rows, size_t cols);
/* In bfloat16 if t->narrow, else as tensor_make. */
struct tensor *tensor_make_narrow(struct tape *t, size_t rows, size_t cols);
/* A tensor in the memory of x, which was given away, if nobody needs what is there; else new memory. */
struct tensor *tensor_take_over(struct tape *t, struct tensor *x);
void tensor_data_release(struct tape *t, struct tensor *x); /* its data, if the arena's */
void tensor_release(struct tape *t, struct tensor *x);      /* and its gradient */
static inline size_t tensor_count(const struct tensor *x) { return x->rows * x->cols; }

/* --- numbers in one of two types ---------------------------------------------------- */
struct values { float *f32; uint16_t *bf16; };
static inline struct values tensor_values(const struct tensor *x) { return (struct values){ x->data, x->half }; }
static inline struct gemm_in tensor_in(const struct tensor *x) { return (struct gemm_in){ x->data, x->half, x->cols }; }
/* n of them from `at` on as float32: where they are, or unpacked into room. */
const float *values_read(const struct kernels *k, struct values v, size_t at, size_t n, float *room);
/* Where to write n of them; values_close rounds what is in room to its place, if it is not there already. */
static inline float *values_open(struct values v, size_t at, float *room) { return v.f32 ? v.f32 + at : room; }
void values_close(const struct kernels *k, struct values v, size_t at, size_t n, const float *room);
/* x as float32: its own memory, or a copy in the arena, until tensor_wide_give. */
float *tensor_wide(struct tape *t, const struct tensor *x);
void tensor_wide_give(struct tape *t, const struct tensor *x, float *wide);

/* Will a backward be recorded, if the result needs a gradient? */
static inline bool tape_records(const struct tape *t) { return t->mode == TAPE_TRAIN && !t->no_record; }
/* A record of `size` bytes for out, or NULL if `needs` is false or nothing is recorded now.  Sets out->needs_grad. */
void *tape_record(struct tape *t, size_t size, void (*backward)(struct tape *, struct record *), struct tensor *out,
                  bool needs);
/* Of a record just made: in bfloat16 training its result need not outlive its segment; `again` fills it anew. */
void tape_again(struct tape *t, void *record, void (*again)(struct tape *t, struct record *r));
/* To be called by a backward before it reads x's values. */
void tensor_again(struct tape *t, struct tensor *x);
/* x's gradient, memory taken if it has none: *beta becomes 0 then (overwrite), else 1 (add). */
float *tensor_grad(struct tape *t, struct tensor *x, float *beta);
/* x's gradient to be written rounded, by the one who adds to it; NULL: then tensor_grad it is.
 * That is so if x is bfloat16 and has one use, counted with tensor_use by the operation that reads it. */
uint16_t *tensor_grad_narrow(struct tape *t, struct tensor *x);
/* The same for a backward that alone reads x's values, holds them (tensor_values) and writes each gradient after it has
 * read what was there: mostly in their memory, where they end. */
uint16_t *tensor_grad_in_place(struct tape *t, struct tensor *x);
/* For a backward that has x's whole gradient in hand: where the next one, x's own, wants it rounded as well; or NULL. */
uint16_t *tensor_grad_rounded(struct tape *t, struct tensor *x);
static inline void tensor_use(struct tensor *x) { x->uses++; }
static inline struct values tensor_grads(const struct tensor *x) { return (struct values){ x->grad, x->grad_half }; }
void tensor_grad_widen(struct tape *t, struct tensor *x);       /* float32 from now on */
/* The same for a parameter, dry or not; what was known of its squares is forgotten. */
float *param_grad(struct tape *t, struct param *p, float *beta);

/* task(ctx, i, worker) for chunks of `each` rows out of n: i is the chunk. */
void rows_run(struct tape *t, size_t n, size_t each, void (*task)(void *ctx, size_t i, int worker), void *ctx);
/* Rows a task takes, by the width of a row: some 16 Ki numbers. */
static inline size_t rows_each(size_t cols) { return cols && cols < 16384 ? 16384 / cols : 1; }
/* The end of chunk i. */
static inline size_t rows_end(size_t n, size_t each, size_t i) { return (i + 1) * each < n ? (i + 1) * each : n; }

/* Element-wise helpers on the team: y = beta y + factor x; y = 0. */
void flat_add(struct tape *t, float *y, float beta, float factor, const float *x, size_t n);
void flat_zero(struct tape *t, float *y, size_t n);
/* y[c] = beta y[c] + sum over rows of x[rows, ld]. */
void column_sums(struct tape *t, float *y, float beta, struct gemm_in x, size_t rows);
/* The end of sums made in parts: y[c] = beta y[c] + sum over rows of x[rows, ld], in double. */
void parts_sum(struct tape *t, float *y, float beta, const float *x, size_t rows, size_t ld, size_t cols);
void flat_round(struct tape *t, uint16_t *y, const float *x, size_t n);     /* y = x */

#endif
