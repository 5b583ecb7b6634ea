/* kernels/linalg/gemm/gemm_bf16_dx.c - dx = dy w with few rows, or of a weight beyond the caches
 *
 * A task is a slice of the sum and a group of columns.  It turns its blocks of the
 * weight where it needs them, each once, into panels that stay in the first cache,
 * and asks for the next block while it multiplies, so that reading the weight from
 * memory costs little time of its own.  Slices but the first have results of their
 * own, which are added at the end, in order. */
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/vec/vec.h"

enum {
    WIDTH = 256,                /* summed in registers at once: 32 KiB of a panel */
    ROWS = 512,                /* at once */
    DEEP = 16384,               /* rows of a weight, from which on dy is not copied as a whole, but by each task */
    DEEP_ROWS = 512,            /* with which the second cache holds what a task copies */
    TASKS = 16,                 /* or more, where the shape allows */
    COPY_ROWS = 32,
    SUM_ROWS = 16,
};

struct dx {
    const struct compute *k;
    struct gemm_in dy;
    const struct packed *w;
    size_t depth, n;            /* of the sum; columns of dx */
    size_t row, rows;           /* of this part */
    size_t width, each, slices; /* each: rows of the weight in a slice, a multiple of width */
    size_t cols, groups;        /* columns of a task */
    uint16_t *copy;             /* dy in blocks [rows, width]; NULL: by each task for itself */
    float *first;               /* the first slice's result: y itself, or [rows, ld] until it is finished */
    size_t ld_first;
    float *partial;             /* those of the others, [slices - 1, rows, ld] */
    size_t ld;
    const struct gemm_out *y;
    bool direct, add;
};

/* The 64 by 64 block of the weight with row d and column col. */
static const uint16_t *block_at(const struct dx *j, size_t d, size_t col)
{
    return j->w->panels + d * round_to(j->w->k, 2) + col * PANEL;
}

/* --- what to ask for early ------------------------------------------------------- */

/* Blocks of the weight in halves, one a tile: its `next` passes 6 KiB of 4. */
struct ahead {
    size_t d, col, halves, half;
};

enum { HALF = PANEL * PANEL / 2 };

static struct ahead ahead_block(const struct dx *j, size_t d, size_t col, size_t until)
{
    return (struct ahead){.d = d, .col = col, .halves = d < until ? 2 * parts(least(until - d, j->width), PANEL) : 0};
}

static const uint16_t *ahead_next(const struct dx *j, struct ahead *a, const uint16_t *next)
{
    if (a->half == a->halves)
        return next;
    size_t half = a->half++;
    return block_at(j, a->d + half / 2 * PANEL, a->col) + half % 2 * HALF;
}

/* --- tasks ------------------------------------------------------------------------- */

static void dx_task(void *ctx, size_t task, int worker)
{
    const struct dx *j = ctx;
    const struct kernels *k = j->k->k;
    size_t s = task / j->groups, first = task % j->groups * j->cols, last = least(j->n, first + j->cols);
    size_t from = s * j->each, until = least(j->depth, from + j->each), ldc = s ? j->ld : j->ld_first;
    float *c = s ? j->partial + (s - 1) * j->rows * j->ld : j->first;
    uint16_t *panel = team_scratch(j->k->team, worker), *own = panel + WIDTH * PANEL;
    struct fetch rows = {0};
    for (size_t d = from; d < until; d += j->width) {
        size_t deep = least(until - d, j->width), tiles = parts(j->rows, SIX);
        const uint16_t *a = j->copy ? j->copy + d * j->rows : own;
        if (!j->copy) {
            gemm_bf16_copy(k, own, j->width, &j->dy, j->row, j->rows, d, deep);
            if (d + j->width < until)
                rows = fetch_rows(&j->dy, j->row, j->rows, d + j->width, least(until - d - j->width, j->width),
                                  tiles * parts(last - first, PANEL));
        }
        for (size_t col = first; col < last; col += PANEL) {
            size_t cols = least(last - col, PANEL);
            for (size_t i = 0; i < deep; i += PANEL)
                k->pack->turn(panel + i * PANEL, block_at(j, d + i, col), cols);
            struct ahead ahead = col + PANEL < last ? ahead_block(j, d, col + PANEL, until)
                                                    : ahead_block(j, d + j->width, first, until);
            for (size_t t = 0; t < tiles; t++) {
                const uint16_t *at = a + t * SIX * j->width, *next = t + 1 < tiles ? at + SIX * j->width : a;
                k->gemm_bf16_tile(least(j->rows - t * SIX, SIX), cols, parts(deep, 2), at, j->width, 2, panel,
                                  c + t * SIX * ldc + col, ldc, d > from || (!s && j->add), ahead_next(j, &ahead, next));
                fetch_some(&rows);
            }
        }
    }
}

static void copy_task(void *ctx, size_t task, int worker)
{
    const struct dx *j = ctx;
    size_t groups = parts(j->rows, COPY_ROWS), r = task % groups * COPY_ROWS, d = task / groups * j->width;
    (void)worker;
    gemm_bf16_copy(j->k->k, j->copy + d * j->rows + r * j->width, j->width, &j->dy, j->row + r,
                   least(j->rows - r, COPY_ROWS),
                   d, least(j->depth - d, j->width));
}

static void sum_task(void *ctx, size_t task, int worker)
{
    const struct dx *j = ctx;
    size_t from = task * SUM_ROWS, rows = least(j->rows - from, SUM_ROWS);
    float *y = j->first + from * j->ld_first;
    (void)worker;
    for (size_t r = 0; r < rows; r++)
        for (size_t s = 1; s < j->slices; s++)
            j->k->k->vec->add(y + r * j->ld_first, y + r * j->ld_first,
                              j->partial + ((s - 1) * j->rows + from + r) * j->ld, j->n);
    if (!j->direct)
        gemm_bf16_finish(j->k->k, j->y, j->row + from, 0, rows, j->n, y, j->ld_first);
}

/* Columns are cut as long as each task has a panel, then the sum: that costs memory. */
static void tasks_choose(struct dx *j, bool deep, size_t room)
{
    size_t panels = parts(j->n, PANEL), most = 1 + room / (j->rows * j->ld * sizeof *j->partial);
    j->groups = deep ? parts(TASKS, least(TASKS, most)) : 3 * TASKS / 2;
    j->cols = parts(panels, j->groups) * PANEL;
    j->groups = parts(j->n, j->cols);
    j->slices = least(parts(TASKS, j->groups), least(most, parts(j->depth, WIDTH)));
    size_t passes = parts(parts(j->depth, j->slices), WIDTH);
    j->width = round_to(parts(j->depth, passes * j->slices), PANEL);
    j->each = passes * j->width;
    j->slices = parts(j->depth, j->each);
}

void gemm_bf16_dx(const struct compute *k, size_t m, const struct gemm_in *dy, const struct packed *w,
                  const struct gemm_out *y)
{
    struct dx j = {.k = k, .dy = *dy, .w = w, .depth = w->n, .n = w->k, .ld = round_to(w->k, 16), .y = y};
    bool deep = j.depth > DEEP;
    size_t rows = round_to(parts(m, parts(m, deep ? DEEP_ROWS : ROWS)), SIX);
    uint16_t *shared = team_shared(k->team);
    j.direct = gemm_bf16_direct(y);
    j.add = j.direct && y->add;
    for (j.row = 0; j.row < m; j.row += rows) {
        j.rows = least(m - j.row, rows);
        size_t copied = deep ? 0 : round_to(rows * (j.depth + WIDTH), 32), own = j.direct ? 0 : rows * j.ld;
        tasks_choose(&j, deep, TEAM_SHARED - copied * sizeof *shared - own * sizeof *j.first);
        j.copy = deep ? NULL : shared;
        j.first = j.direct ? y->f32 + j.row * y->ld : (float *)(void *)(shared + copied);
        j.ld_first = j.direct ? y->ld : j.ld;
        j.partial = (float *)(void *)(shared + copied) + own;
        if (!deep)
            team_run(k->team, parts(j.depth, j.width) * parts(j.rows, COPY_ROWS), copy_task, &j);
        team_run(k->team, j.slices * j.groups, dx_task, &j);
        if (j.slices > 1 || !j.direct)
            team_run(k->team, parts(j.rows, SUM_ROWS), sum_task, &j);
    }
}
