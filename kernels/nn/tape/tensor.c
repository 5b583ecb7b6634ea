/* kernels/nn/tape/tensor.c - values and their gradients: made, taken over, released */
#include "kernels/nn/tape/record.h"

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

void tensor_data_release(struct tape *t, struct tensor *x)
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
    tensor_data_release(t, x);
    if (x->grad)
        arena_give(t, x->grad, tensor_count(x) * sizeof *x->grad);
    if (x->grad_half)
        arena_give(t, x->grad_half, tensor_count(x) * sizeof *x->grad_half);
    x->grad = NULL;
    x->grad_half = NULL;
}

/* --- gradients ---------------------------------------------------------------- */
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

uint16_t *tensor_grad_rounded(struct tape *t, struct tensor *x)
{
    const struct record *next = t->last;
    bool last = next && next->rounds && next->out[0] == x && !x->joint;
    return last ? tensor_grad_narrow(t, next->rounds) : NULL;
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
    if (tape_live(t))
        param_settle(t->compute, p);
    if (!p->grad && !t->failed)
        param_lend(p, arena_lend(t, p->count * sizeof *p->grad), &t->borrower);
    *beta = p->has_grad ? 1.0f : 0.0f;
    if (tape_live(t)) {
        p->has_grad = true;
        p->squared = false;
    }
    return p->grad;
}
