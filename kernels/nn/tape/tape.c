/* kernels/nn/tape/tape.c - records, tensors and runs; the arena is in arena.c */
#include "kernels/nn/tape/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tape *tape_new(const struct compute *compute)
{
    struct tape *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->compute = compute;
    t->loss_bytes = (size_t)256 << 20;
    return t;
}

void tape_fail(struct tape *t, const char *fmt, ...)
{
    if (t->failed)
        return;
    t->failed = true;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->why, sizeof t->why, fmt, ap);
    va_end(ap);
}

/* --- tensors ------------------------------------------------------------------ */
static struct tensor *tensor_new(struct tape *t, size_t rows, size_t cols)
{
    struct tensor *x = tape_small(t, sizeof *x);
    if (!x)
        return &t->nothing;
    x->rows = rows;
    x->cols = cols;
    return x;
}

struct tensor *tensor_wrap(struct tape *t, float *data, size_t rows, size_t cols)
{
    struct tensor *x = tensor_new(t, rows, cols);
    if (t->failed)
        return x;
    x->data = data;
    x->next = t->made;
    t->made = x;
    return x;
}

struct tensor *tensor_make(struct tape *t, size_t rows, size_t cols)
{
    float *data = arena_take(t, rows * cols * sizeof(float));
    return tensor_wrap(t, data, rows, cols);
}

struct tensor *tensor_make_narrow(struct tape *t, size_t rows, size_t cols)
{
    if (!t->narrow)
        return tensor_make(t, rows, cols);
    uint16_t *half = arena_take(t, rows * cols * sizeof *half);
    struct tensor *x = tensor_wrap(t, NULL, rows, cols);
    if (!t->failed) {
        x->half = half;
        x->narrow = true;
    }
    return x;
}

struct tensor *tensor_take_over(struct tape *t, struct tensor *x)
{
    if (x->kept || x->external || t->failed)
        return x->half ? tensor_make_narrow(t, x->rows, x->cols) : tensor_make(t, x->rows, x->cols);
    struct tensor *y = tensor_wrap(t, x->data, x->rows, x->cols);
    if (!t->failed) {
        y->half = x->half;
        y->narrow = x->narrow;
    }
    x->data = NULL;
    x->half = NULL;
    return y;
}

struct tensor *tape_temp(struct tape *t, size_t rows, size_t cols) { return tensor_make(t, rows, cols); }

struct tensor *tape_input(struct tape *t, float *data, size_t rows, size_t cols)
{
    struct tensor *x = tensor_new(t, rows, cols);
    if (t->failed)
        return x;
    x->data = data;
    x->external = true;
    return x;
}

static void data_release(struct tape *t, struct tensor *x)
{
    if (x->data && !x->external)
        arena_give(t, x->data, tensor_count(x) * sizeof *x->data);
    if (x->half)
        arena_give(t, x->half, tensor_count(x) * sizeof *x->half);
    x->data = NULL;
    x->half = NULL;
}

void tensor_release(struct tape *t, struct tensor *x)
{
    data_release(t, x);
    if (x->grad)
        arena_give(t, x->grad, tensor_count(x) * sizeof *x->grad);
    if (x->grad_half)
        arena_give(t, x->grad_half, tensor_count(x) * sizeof *x->grad_half);
    x->grad = NULL;
    x->grad_half = NULL;
}

static bool grad_fits_narrow(const struct tensor *x) { return x->narrow && x->uses == 1 && !x->grad && !x->grad_half; }

uint16_t *tensor_grad_narrow(struct tape *t, struct tensor *x)
{
    if (!grad_fits_narrow(x))
        return NULL;
    return x->grad_half = arena_take(t, tensor_count(x) * sizeof *x->grad_half);
}

uint16_t *tensor_grad_in_place(struct tape *t, struct tensor *x)
{
    if (!grad_fits_narrow(x) || x->reread || !x->half)
        return tensor_grad_narrow(t, x);
    x->grad_half = x->half;
    x->half = NULL;
    return x->grad_half;
}

void tensor_grad_widen(struct tape *t, struct tensor *x)
{
    if (!x->grad_half)
        return;
    struct tensor half = { .rows = x->rows, .cols = x->cols, .half = x->grad_half };
    x->grad = tensor_wide(t, &half);
    arena_give(t, x->grad_half, tensor_count(x) * sizeof *x->grad_half);
    x->grad_half = NULL;
}

float *tensor_grad(struct tape *t, struct tensor *x, float *beta)
{
    tensor_grad_widen(t, x);
    *beta = x->grad ? 1.0f : 0.0f;
    if (!x->grad)
        x->grad = arena_take(t, tensor_count(x) * sizeof(float));
    return x->grad;
}

float *param_grad(struct tape *t, struct param *p, float *beta)
{
    if (!p->grad && !t->failed)
        param_lend(p, arena_lend(t, p->count * sizeof *p->grad), &t->borrower);
    *beta = p->has_grad ? 1.0f : 0.0f;
    if (tape_live(t)) {
        p->has_grad = true;
        p->squared = false;
    }
    return p->grad;
}

/* --- records ------------------------------------------------------------------- */
void *tape_record(struct tape *t, size_t size, void (*backward)(struct tape *, struct record *), struct tensor *out, bool needs)
{
    if (t->failed || t->mode != TAPE_TRAIN || !needs)
        return NULL;
    if (out)
        out->needs_grad = true;
    if (!tape_records(t))
        return NULL;
    struct record *r = tape_small(t, size);
    if (!r)
        return NULL;
    r->backward = backward;
    if (out)
        r->out[r->n_out++] = out;
    r->before = t->last;
    t->last = r;
    return r;
}

void tape_again(struct tape *t, void *record, void (*again)(struct tape *t, struct record *r))
{
    struct record *r = record;
    if (!r || !t->narrow)
        return;
    r->again = again;
    r->out[0]->maker = r;
}

void tensor_again(struct tape *t, struct tensor *x)
{
    if (!x->gone)
        return;
    x->half = arena_take(t, tensor_count(x) * sizeof *x->half);
    x->gone = false;
    x->maker->again(t, x->maker);
}

/* Down to, not including, `until`. */
static void records_run(struct tape *t, const struct record *until)
{
    while (t->last != until && !t->failed) {
        struct record *r = t->last;
        t->last = r->before;
        bool any = r->always;
        for (size_t i = 0; i < r->n_out; i++) {
            if (!r->reads_half)
                tensor_grad_widen(t, r->out[i]);
            any |= r->out[i]->grad || r->out[i]->grad_half;
        }
        if (any)
            r->backward(t, r);
        for (size_t i = 0; i < r->n_out; i++)
            tensor_release(t, r->out[i]);
    }
}

void tape_backward(struct tape *t)
{
    t->plan.forward = t->used;
    records_run(t, NULL);
    while (t->later && !t->failed) {
        struct later *j = t->later;
        t->later = j->next;
        j->run(t, j);
    }
    t->plan.lent = t->lent;
}

void tape_clear(struct tape *t)
{
    for (struct tensor *x = t->made; x; x = x->next)
        tensor_release(t, x);
    t->made = NULL;
    if (t->dry)
        layout_cut(t->layout, t->event);
}

void tape_later(struct tape *t, struct later *j, void (*run)(struct tape *t, struct later *j))
{
    struct later **end = &t->later;
    while (*end)
        end = &(*end)->next;
    j->run = run;
    j->next = NULL;
    *end = j;
}

/* --- segments -------------------------------------------------------------------- */
struct segment_record {
    struct record r;
    segment_fn *fn;
    void *ctx;
    struct tensor *in[SEGMENT_VALUES];
    size_t n_in;
    uint64_t op;
};

static bool among(const struct tensor *x, struct tensor *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == x)
            return true;
    return false;
}

/* Frees what was made since `made` was set aside, but for outputs and what a backward reads; the rest goes outward. */
static void segment_close(struct tape *t, struct tensor *outer, struct tensor **out, size_t n_out)
{
    struct tensor *next;
    for (struct tensor *x = t->made; x; x = next) {
        next = x->next;
        if (!among(x, out, n_out) && !x->kept) {
            tensor_release(t, x);
        } else {
            if (x->maker && x->half && !among(x, out, n_out)) {
                data_release(t, x);
                x->gone = true;
            }
            x->next = outer;
            outer = x;
        }
    }
    t->made = outer;
}

static void segment_backward(struct tape *t, struct record *record)
{
    struct segment_record *r = (struct segment_record *)record;
    struct tensor *out[SEGMENT_VALUES];
    for (size_t i = 0; i < r->r.n_out; i++)         /* computed anew in a moment */
        data_release(t, r->r.out[i]);
    uint64_t op = t->op;
    t->op = r->op;
    struct tensor *outer = t->made;
    const struct record *until = t->last;
    t->made = NULL;
    t->replaying = true;
    r->fn(t, r->ctx, r->in, out);
    t->replaying = false;
    segment_close(t, outer, out, r->r.n_out);
    t->op = op;
    for (size_t i = 0; i < r->r.n_out; i++) {
        out[i]->grad = r->r.out[i]->grad;
        r->r.out[i]->grad = NULL;
    }
    records_run(t, until);
}

void tape_segment(struct tape *t, segment_fn *fn, const void *ctx, size_t ctx_size,
                  struct tensor **in, size_t n_in, struct tensor **out, size_t n_out)
{
    bool once = t->mode == TAPE_TRAIN && t->recompute && !t->no_record;
    for (size_t i = 0; i < n_in; i++)
        in[i]->uses += 2;       /* of gradients that others may add to, later */
    uint64_t op = t->op;
    struct tensor *outer = t->made;
    t->made = NULL;
    if (once)
        t->no_record = true;
    fn(t, ctx, in, out);
    if (once)
        t->no_record = false;
    segment_close(t, outer, out, n_out);
    if (!once || t->failed)
        return;

    bool needs = false;
    for (size_t i = 0; i < n_out; i++)
        needs |= out[i]->needs_grad;
    struct segment_record *r = tape_record(t, sizeof *r, segment_backward, NULL, needs);
    void *copy = r ? tape_small(t, ctx_size ? ctx_size : 1) : NULL;
    if (!copy)
        return;
    if (ctx_size)
        memcpy(copy, ctx, ctx_size);
    r->fn = fn;
    r->ctx = copy;
    r->op = op;
    r->n_in = n_in;
    for (size_t i = 0; i < n_in; i++) {
        r->in[i] = in[i];
        in[i]->kept = true;
    }
    r->r.n_out = n_out;
    for (size_t i = 0; i < n_out; i++) {
        r->r.out[i] = out[i];
        out[i]->kept = true;
    }
}

void tape_drop(struct tape *t, struct tensor *x)
{
    if (!x->kept && !x->external && !x->grad && !x->grad_half)
        tensor_release(t, x);
}

void tape_tap(struct tape *t, const char *name, const struct tensor *x)
{
    if (!t->tap || t->failed || t->replaying)
        return;
    struct tensor wide = *x;
    wide.data = tensor_wide(t, x);
    if (tape_live(t))
        t->tap(t->tap_ctx, name, &wide);
    tensor_wide_give(t, x, wide.data);
}
