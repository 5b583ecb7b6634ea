/* kernels/nn/ops/rope.c - rotary positions: J. Su and others, "RoFormer", 2021
 *
 * (a, b) -> (a cos - b sin, b cos + a sin); the gradient turns back. */
#include "kernels/linalg/vec/vec.h"
#include "kernels/nn/tape/record.h"

#include <math.h>

struct rope {
    struct record r;
    struct tensor *x;
    const struct compute *compute;
    const float *table;
    struct values from, to;
    float sign, beta;
    size_t rows, cols, d, each;
};

struct tensor *tape_rope_table(struct tape *t, const int32_t *position, size_t n, size_t d, float theta, float factor)
{
    struct tensor *y = tensor_make(t, n, d);
    y->kept = true;                         /* all layers' backwards read it */
    for (size_t i = 0; i < d / 2 && tape_live(t); i++) {
        float rate = 1.0f / powf(theta, (float)(2 * i) / (float)d) / factor;    /* float32, as the models were trained */
        for (size_t r = 0; r < n; r++) {
            float angle = (float)position[r] * rate;
            y->data[r * d + i] = cosf(angle);
            y->data[r * d + d / 2 + i] = sinf(angle);
        }
    }
    return y;
}

static void rope_task(void *ctx, size_t i, int worker)
{
    const struct rope *j = ctx;
    const struct kernels *kernels = j->compute->k;
    size_t half = j->d / 2;
    float *room = team_scratch(j->compute->team, worker);
    for (size_t r = i * j->each, end = rows_end(j->rows, j->each, i); r < end; r++) {
        const float *c = j->table + r * j->d, *s = c + half;
        const float *from = values_read(kernels, j->from, r * j->cols, j->cols, room);
        float *to = values_open(j->to, r * j->cols, room + j->cols);
        for (size_t h = 0; h < j->cols; h += j->d)
            kernels->vec->rope(to + h, j->beta != 0, from + h, c, s, j->sign, half);
        values_close(kernels, j->to, r * j->cols, j->cols, to);
    }
}

static void rope_backward(struct tape *t, struct record *record)
{
    struct rope *j = (struct rope *)record;
    j->to = (struct values){ .f32 = tensor_grad(t, j->x, &j->beta) };
    j->from = tensor_grads(j->r.out[0]);
    j->sign = -1;
    if (tape_live(t))
        rows_run(t, j->rows, j->each, rope_task, j);
}

struct tensor *tape_rope(struct tape *t, struct tensor *x, const struct tensor *table)
{
    struct rope j = { .x = x, .compute = t->compute, .table = table->data, .from = tensor_values(x), .sign = 1,
                      .rows = x->rows, .cols = x->cols, .d = table->cols, .each = rows_each(x->cols) };
    if (!t->failed && (x->rows != table->rows || x->cols % table->cols || table->cols % 2))
        tape_fail(t, "rotary angles for %zu x %zu, values %zu x %zu", table->rows, table->cols, x->rows, x->cols);
    struct tensor *y = tensor_take_over(t, x);
    j.to = tensor_values(y);
    if (tape_live(t))
        rows_run(t, j.rows, j.each, rope_task, &j);
    struct rope *r = tape_record(t, sizeof *r, rope_backward, y, x->needs_grad);
    if (r) {
        j.r = r->r;
        j.r.reads_half = true;
        *r = j;
    }
    return y;
}
