/* kernels/nn/ops/elementwise.c - sums; activations are in activation.c, dropout in dropout.c */
#include "kernels/nn/ops/elementwise.h"

#include "kernels/linalg/vec/vec.h"

#include <string.h>

enum { EACH = 8192, STRETCH = 1024 };      /* of a task; of it, what passes through the first cache from bfloat16 */

struct unary {
    struct record r;
    struct tensor *x, *z;
};

/* Adds out's gradient to x's; out's own memory moves there if x has none yet. */
static void grad_pass(struct tape *t, struct tensor *x, struct tensor *out)
{
    tensor_grad_widen(t, x);
    if (!x->grad) {
        x->grad = out->grad;
        out->grad = NULL;
        return;
    }
    flat_add(t, x->grad, 1, 1, out->grad, tensor_count(x));
}

static void add_backward(struct tape *t, struct record *record)
{
    struct unary *r = (struct unary *)record;
    struct tensor *out = r->r.out[0];
    bool both = r->x->needs_grad && r->z->needs_grad, rounded = r->z->grad_half != NULL;
    uint16_t *dz = both && !rounded ? tensor_grad_narrow(t, r->z) : NULL;
    if (rounded) {
        grad_pass(t, r->x, out);
    } else if (dz) {
        flat_round(t, dz, out->grad, tensor_count(out));
        grad_pass(t, r->x, out);
    } else if (both) {
        float beta, *dx = tensor_grad(t, r->x, &beta);
        flat_add(t, dx, beta, 1, out->grad, tensor_count(out));
        grad_pass(t, r->z, out);
    } else {
        grad_pass(t, r->x->needs_grad ? r->x : r->z, out);
    }
}

struct sum { const struct kernels *k; float *y; struct values a, b; size_t n; };

static void sum_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct sum *j = ctx;
    float room[2][STRETCH];
    for (size_t at = i * EACH, end = rows_end(j->n, EACH, i); at < end; at += STRETCH) {
        size_t n = end - at < STRETCH ? end - at : STRETCH;
        j->k->vec->add(j->y + at, values_read(j->k, j->a, at, n, room[0]), values_read(j->k, j->b, at, n, room[1]), n);
    }
}

void sum_fits(struct tape *t, const struct tensor *x, size_t rows, size_t cols)
{
    if (!t->failed && (x->rows != rows || x->cols != cols))
        tape_fail(t, "a sum of %zu x %zu and %zu x %zu", x->rows, x->cols, rows, cols);
}

struct tensor *tape_add(struct tape *t, struct tensor *x, struct tensor *y)
{
    sum_fits(t, x, y->rows, y->cols);
    struct values from = tensor_values(y);
    struct tensor *out = y->half ? tensor_make(t, y->rows, y->cols) : tensor_take_over(t, y);
    struct sum j = { t->compute->k, out->data, tensor_values(x), from, tensor_count(out) };
    if (tape_live(t))
        rows_run(t, j.n, EACH, sum_task, &j);
    return sum_of(t, x, y, out);
}

struct tensor *sum_of(struct tape *t, struct tensor *x, struct tensor *y, struct tensor *out)
{
    struct unary *r = tape_record(t, sizeof *r, add_backward, out, x->needs_grad || y->needs_grad);
    if (r) {
        r->x = x;
        r->z = y;
        r->r.rounds = x->needs_grad && y->needs_grad ? y : NULL;
        tensor_use(y);
    }
    return out;
}

struct table {
    struct record r;
    struct tensor *x;
    struct param *w;
    float *y;
    const struct kernels *k;
    struct values x_values;
    const float *from, *add;
    size_t rows, cols, period, each;
    float beta;
};

static void table_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct table *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->rows, j->each, i); r < to; r++) {
        float *y = j->y + r * j->cols;          /* of the sum's own memory when x is bfloat16: unpacked there first */
        j->k->vec->add(y, values_read(j->k, j->x_values, r * j->cols, j->cols, y), j->add + r % j->period * j->cols,
                       j->cols);
    }
}

/* One row of the table: the sum of its uses, in order. */
static void table_grad_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct table *j = ctx;
    for (size_t p = i * j->each, to = rows_end(j->period, j->each, i); p < to; p++) {
        float *y = j->y + p * j->cols;
        if (j->beta == 0)
            memset(y, 0, j->cols * sizeof *y);
        for (size_t r = p; r < j->rows; r += j->period)
            for (size_t c = 0; c < j->cols; c++)
                y[c] += j->from[r * j->cols + c];
    }
}

static void table_backward(struct tape *t, struct record *record)
{
    struct table *r = (struct table *)record;
    struct tensor *out = r->r.out[0];
    if (r->w->trained) {
        r->y = param_grad(t, r->w, &r->beta);
        r->from = out->grad;
        if (tape_live(t))
            rows_run(t, r->period, r->each, table_grad_task, r);
    }
    if (r->x->needs_grad)
        grad_pass(t, r->x, out);
}

struct tensor *tape_add_table(struct tape *t, struct tensor *x, struct param *w)
{
    struct table j = { .k = t->compute->k, .x_values = tensor_values(x), .add = w->data, .rows = x->rows,
                       .cols = x->cols, .period = w->shape[0] };
    if (!t->failed && (w->shape[1] != x->cols || x->rows % j.period))
        tape_fail(t, "'%s' does not fit %zu x %zu", w->name, x->rows, x->cols);
    struct tensor *out = x->half ? tensor_make(t, x->rows, x->cols) : tensor_take_over(t, x);
    j.y = out->data;
    j.each = rows_each(j.cols);
    if (tape_live(t)) {
        param_settle(t->compute, w);
        rows_run(t, j.rows, j.each, table_task, &j);
    }
    struct table *r = tape_record(t, sizeof *r, table_backward, out, x->needs_grad || w->trained);
    if (r) {
        struct record head = r->r;
        *r = j;
        r->r = head;
        r->x = x;
        r->w = w;
    }
    return out;
}
