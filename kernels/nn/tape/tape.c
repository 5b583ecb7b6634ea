/* kernels/nn/tape/tape.c - records, backward and segments; values are in tensor.c, runs and their memory in arena.c */
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

/* --- records ------------------------------------------------------------------- */
void *tape_record(struct tape *t, size_t size, void (*backward)(struct tape *, struct record *), struct tensor *out,
                  bool needs)
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

void tape_joint(struct tape *t, struct joint *j, struct tensor *x, void (*run)(struct tape *t, struct joint *j))
{
    *j = (struct joint){ .next = t->joints, .x = x, .run = run };
    t->joints = x->joint = j;
}

static void joint_run(struct tape *t, struct joint *j)
{
    struct joint **at = &t->joints;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    j->x->joint = NULL;
    j->run(t, j);
}

/* Down to, not including, `until`. */
static void records_run(struct tape *t, const struct record *until)
{
    while (t->last != until && !t->failed) {
        struct record *r = t->last;
        t->last = r->before;
        bool any = r->always;
        for (size_t i = 0; i < r->n_out; i++) {
            if (r->out[i]->joint)
                joint_run(t, r->out[i]->joint);
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
    while (t->joints && !t->failed)
        joint_run(t, t->joints);
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
                tensor_data_release(t, x);
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
        tensor_data_release(t, r->r.out[i]);
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
