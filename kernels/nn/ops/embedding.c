/* kernels/nn/ops/embedding.c - lookups of rows, in tables and in values */
#include "kernels/nn/tape/record.h"

#include <string.h>

enum { COLUMNS = 64 };

struct lookup {
    struct record r;
    struct later later;
    struct param *w;
    struct tensor *x;
    const int32_t *ids;
    const size_t *index;
    size_t n, cols, each;
    int32_t pad;
    float scale, *to;
    const float *from;
    double *squares;            /* by how much those of a block of columns grew */
};

static void embed_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct lookup *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->n, j->each, i); r < to; r++) {
        const float *from = j->from + (size_t)j->ids[r] * j->cols;
        for (size_t c = 0; c < j->cols; c++)
            j->to[r * j->cols + c] = j->scale * from[c];
    }
}

/* A block of columns, all lookups in order: an entry met twice sums in that order. */
static void embed_grad_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct lookup *j = ctx;
    size_t from = i * COLUMNS, end = rows_end(j->cols, COLUMNS, i);
    double grown = 0;
    for (size_t r = 0; r < j->n; r++) {
        if (j->ids[r] == j->pad)
            continue;
        float *to = j->to + (size_t)j->ids[r] * j->cols;
        for (size_t c = from; c < end; c++) {
            double old = (double)to[c];
            to[c] += j->scale * j->from[r * j->cols + c];
            grown += (double)to[c] * (double)to[c] - old * old;
        }
    }
    j->squares[i] = grown;
}

/* Of the gradient at j->from. */
static void embed_add(struct tape *t, struct lookup *j)
{
    float beta;
    bool squared = j->w->squared || !j->w->has_grad;
    size_t blocks = (j->cols + COLUMNS - 1) / COLUMNS;
    j->squares = tape_small(t, blocks * sizeof *j->squares);
    j->to = param_grad(t, j->w, &beta);
    if (beta == 0)
        flat_zero(t, j->to, j->w->count);
    if (!tape_live(t))
        return;
    rows_run(t, j->cols, COLUMNS, embed_grad_task, j);
    double squares = beta == 0 ? 0 : j->w->squares;
    for (size_t i = 0; i < blocks; i++)
        squares += j->squares[i];
    j->w->squares = squares < 0 ? 0 : squares;
    j->w->squared = squared;
}

static void embed_late(struct tape *t, struct later *later)
{
    struct lookup *j = (struct lookup *)(void *)((uint8_t *)later - offsetof(struct lookup, later));
    embed_add(t, j);
    arena_give(t, (void *)(uintptr_t)j->from, j->n * j->cols * sizeof *j->from);
}

static void embed_backward(struct tape *t, struct record *record)
{
    struct lookup *j = (struct lookup *)record;
    struct tensor *y = j->r.out[0];
    j->from = y->grad;
    if (t->late) {
        y->grad = NULL;                         /* ours now */
        tape_later(t, &j->later, embed_late);
        return;
    }
    embed_add(t, j);
}

struct tensor *tape_embedding(struct tape *t, struct param *w, const int32_t *ids, size_t n, int32_t pad, float scale)
{
    struct lookup j = { .w = w, .ids = ids, .n = n, .cols = w->shape[1], .pad = pad, .scale = scale, .from = w->data };
    for (size_t i = 0; i < n && tape_live(t); i++)
        if (ids[i] < 0 || (size_t)ids[i] >= w->shape[0])
            tape_fail(t, "id %d at position %zu: '%s' has %zu entries", ids[i], i, w->name, w->shape[0]);
        else
            param_settle_row(t->compute, w, (size_t)ids[i]);
    struct tensor *y = tensor_make(t, n, j.cols);
    j.to = y->data;
    j.each = rows_each(j.cols);
    if (tape_live(t))
        rows_run(t, n, j.each, embed_task, &j);
    struct lookup *r = tape_record(t, sizeof *r, embed_backward, y, w->trained);
    if (r) {
        j.r = r->r;
        *r = j;
    }
    return y;
}

/* --- rows of a value --------------------------------------------------------------- */
static void rows_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct lookup *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->n, j->each, i); r < to; r++)
        memcpy(j->to + r * j->cols, j->from + j->index[r] * j->cols, j->cols * sizeof(float));
}

static void rows_grad_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct lookup *j = ctx;
    size_t from = i * COLUMNS, end = rows_end(j->cols, COLUMNS, i);
    for (size_t r = 0; r < j->n; r++)
        for (size_t c = from; c < end; c++)
            j->to[j->index[r] * j->cols + c] += j->from[r * j->cols + c];
}

static void rows_backward(struct tape *t, struct record *record)
{
    struct lookup *j = (struct lookup *)record;
    float beta;
    j->to = tensor_grad(t, j->x, &beta);
    j->from = j->r.out[0]->grad;
    if (beta == 0)
        flat_zero(t, j->to, tensor_count(j->x));
    if (tape_live(t))
        rows_run(t, j->cols, COLUMNS, rows_grad_task, j);
}

struct tensor *tape_rows(struct tape *t, struct tensor *x, const size_t *index, size_t n)
{
    struct tensor *y = tensor_make(t, n, x->cols);
    float *wide = tensor_wide(t, x);
    struct lookup j = { .x = x, .index = index, .n = n, .cols = x->cols, .each = rows_each(x->cols), .to = y->data,
                        .from = wide };
    if (tape_live(t))
        rows_run(t, n, j.each, rows_task, &j);
    tensor_wide_give(t, x, wide);
    struct lookup *r = tape_record(t, sizeof *r, rows_backward, y, x->needs_grad);
    if (r) {
        j.r = r->r;
        *r = j;
    }
    return y;
}
