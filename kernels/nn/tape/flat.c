/* kernels/nn/tape/flat.c - what many operations do to flat memory: widen, narrow, add, clear, sum columns; on the team */
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"
#include "kernels/nn/tape/record.h"

#include <string.h>

/* --- numbers in one of two types ---------------------------------------------------- */
const float *values_read(const struct kernels *k, struct values v, size_t at, size_t n, float *room)
{
    if (v.f32)
        return v.f32 + at;
    k->pack->to_f32(room, v.bf16 + at, n);
    return room;
}

void values_close(const struct kernels *k, struct values v, size_t at, size_t n, const float *room)
{
    if (v.bf16)
        k->pack->from_f32(v.bf16 + at, room, n);
}

enum { WIDE_EACH = 16384 };
struct wide { const struct pack *pack; float *to; const uint16_t *from; size_t n; };

static void wide_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct wide *j = ctx;
    size_t at = i * WIDE_EACH;
    j->pack->to_f32(j->to + at, j->from + at, rows_end(j->n, WIDE_EACH, i) - at);
}

float *tensor_wide(struct tape *t, const struct tensor *x)
{
    if (!x->half)
        return x->data;
    struct wide j = { .pack = t->compute->k->pack, .from = x->half, .n = tensor_count(x) };
    j.to = arena_take(t, j.n * sizeof(float));
    if (tape_live(t))
        rows_run(t, j.n, WIDE_EACH, wide_task, &j);
    return j.to;
}

void tensor_wide_give(struct tape *t, const struct tensor *x, float *wide)
{
    if (x->half)
        arena_give(t, wide, tensor_count(x) * sizeof(float));
}

/* --- the team --------------------------------------------------------------------- */
void rows_run(struct tape *t, size_t n, size_t each, void (*task)(void *ctx, size_t i, int worker), void *ctx)
{
    team_run(t->compute->team, (n + each - 1) / each, task, ctx);
}

struct flat {
    float *y, beta, factor;
    const float *x;
    uint16_t *half;
    const struct pack *pack;
    size_t n;
};

enum { FLAT_EACH = 16384, COLUMNS_EACH = 64 };

static void flat_add_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct flat *f = ctx;
    size_t from = i * FLAT_EACH, to = rows_end(f->n, FLAT_EACH, i);
    float *restrict y = f->y;
    const float *restrict x = f->x;
    float factor = f->factor;
    if (f->beta == 0)
        for (size_t j = from; j < to; j++)
            y[j] = factor * x[j];
    else
        for (size_t j = from; j < to; j++)
            y[j] += factor * x[j];
}

void flat_add(struct tape *t, float *y, float beta, float factor, const float *x, size_t n)
{
    struct flat f = { .y = y, .beta = beta, .factor = factor, .x = x, .n = n };
    if (tape_live(t))
        rows_run(t, n, FLAT_EACH, flat_add_task, &f);
}

static void flat_zero_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct flat *f = ctx;
    size_t from = i * FLAT_EACH, to = rows_end(f->n, FLAT_EACH, i);
    memset(f->y + from, 0, (to - from) * sizeof(float));
}

void flat_zero(struct tape *t, float *y, size_t n)
{
    struct flat f = { .y = y, .n = n };
    if (tape_live(t))
        rows_run(t, n, FLAT_EACH, flat_zero_task, &f);
}

static void flat_round_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct flat *f = ctx;
    size_t from = i * FLAT_EACH;
    f->pack->from_f32(f->half + from, f->x + from, rows_end(f->n, FLAT_EACH, i) - from);
}

void flat_round(struct tape *t, uint16_t *y, const float *x, size_t n)
{
    struct flat f = { .half = y, .x = x, .pack = t->compute->k->pack, .n = n };
    if (tape_live(t))
        rows_run(t, n, FLAT_EACH, flat_round_task, &f);
}

/* --- sums of columns: some rows in float32, in order; those in double -------------- */
enum { SUM_ROWS = 64 };

struct columns {
    const struct vec *vec;
    struct gemm_in x;
    float *parts;               /* [ceil(rows / 64), ld] */
    size_t rows;
};

static void column_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct columns *j = ctx;
    size_t ld = j->x.ld, row = i * SUM_ROWS, rows = rows_end(j->rows, SUM_ROWS, i) - row;
    if (j->x.f32)
        j->vec->columns(j->parts + i * ld, j->x.f32 + row * ld, ld, rows, ld);
    else
        j->vec->columns_half(j->parts + i * ld, j->x.bf16 + row * ld, ld, rows, ld);
}

void column_sums(struct tape *t, float *y, float beta, struct gemm_in x, size_t rows)
{
    size_t n = (rows + SUM_ROWS - 1) / SUM_ROWS, bytes = n * x.ld * sizeof(float);
    struct columns j = { t->compute->k->vec, x, arena_take(t, bytes), rows };
    if (tape_live(t))
        rows_run(t, rows, SUM_ROWS, column_task, &j);
    parts_sum(t, y, beta, j.parts, n, x.ld, x.ld);
    arena_give(t, j.parts, bytes);
}

struct parts { float *y, beta; const float *x; size_t rows, ld, cols; };

static void parts_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct parts *j = ctx;
    size_t from = i * COLUMNS_EACH, n = rows_end(j->cols, COLUMNS_EACH, i) - from;
    double sum[COLUMNS_EACH] = { 0 };
    for (size_t r = 0; r < j->rows; r++)
        for (size_t c = 0; c < n; c++)
            sum[c] += (double)j->x[r * j->ld + from + c];
    for (size_t c = 0; c < n; c++)
        j->y[from + c] = (j->beta == 0 ? 0.0f : j->y[from + c]) + (float)sum[c];
}

void parts_sum(struct tape *t, float *y, float beta, const float *x, size_t rows, size_t ld, size_t cols)
{
    struct parts j = { y, beta, x, rows, ld, cols };
    if (tape_live(t))
        rows_run(t, cols, COLUMNS_EACH, parts_task, &j);
}
