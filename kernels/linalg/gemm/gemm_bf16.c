/* kernels/linalg/gemm/gemm_bf16.c - y = x w^T and dx = dy w: blocks of rows and panels for the team
 *
 * Two ways, by shape and types alone.  Many rows that are to be rounded: a task takes
 * some 96 of them, rounds them into its own scratch, and passes the whole weight.
 * Else: a task takes a few panels of the weight and many rows, so that a weight larger
 * than the caches (a vocabulary) is read from memory once; x is read where it is if
 * that is bfloat16, else rounded once into shared memory.  For dx the weight is turned before, all of it; where that
 * costs more than it gains it is gemm_bf16_dx.c's. */
#include "kernels/linalg/gemm/gemm_bf16.h"

#include <string.h>

enum {
    TALL_ROWS = 96,             /* of a task; a multiple of 6 */
    TALL_DEPTH = 1536,          /* summed in registers at once: 96 rows of it and a panel fit the second cache */
    TALL_COLS = 256,            /* finished together, when something is done with them */
    SHORT_ROWS = 384,           /* under one panel */
    SHORT_DEPTH = 1024,         /* 384 rows of it and a panel fit the second cache */
    SHORT_BLOCK = 1024,         /* most rows of a task: its result of 512 columns fits the scratch */
    STRIP_PANELS = 8, STRIP_BYTES = 512 << 10,  /* most of a task in strips: the second cache holds them */
    TALL = 1024,                /* many rows */
    TALL_BYTES = 8 << 20,       /* the largest weight that is passed by many rows, or turned for them; */
    TURN_BYTES = 2 << 20,       /* for few */
};

void gemm_bf16_block(const struct kernels *k, size_t m, size_t n, size_t pairs, const struct spread *a,
                     const uint16_t *b, size_t panel, float *c, size_t ldc, bool add, struct fetch ahead[2])
{
    for (size_t j = 0; j < n; j += PANEL, b += panel) {
        const uint16_t *at = a->a;
        for (size_t i = 0; i < m; i += SIX) {
            const uint16_t *next = i + SIX < m ? at + a->tile : a->a;
            k->gemm_bf16_tile(least(m - i, SIX), least(n - j, PANEL), pairs, at, a->row, a->pair, b,
                              c + i * ldc + j, ldc, add, next);
            for (size_t f = 0; ahead && f < 2; f++)
                fetch_some(ahead + f);
            at = next;
        }
    }
}

void gemm_bf16_copy(const struct kernels *k, uint16_t *to, size_t width, const struct gemm_in *x, size_t row,
                    size_t rows, size_t col, size_t cols)
{
    for (size_t r = row; r < row + rows; r++, to += width) {
        if (x->bf16)
            memcpy(to, x->bf16 + r * x->ld + col, cols * sizeof *to);
        else
            k->pack->from_f32(to, x->f32 + r * x->ld + col, cols);
        for (size_t c = cols; c < width; c++)
            to[c] = 0;
    }
}

struct job {
    const struct compute *k;
    struct gemm_in x;
    const struct gemm_out *y;
    const uint16_t *panels;
    size_t panel;               /* elements from one to the next */
    uint16_t *turned;           /* for dx: all of them anew */
    size_t own;                 /* rows of a task, the first way */
    size_t m, n, depth;         /* y is [m, n], depth is summed over */
    size_t width;               /* elements of x taken at once, even */
    bool direct;                /* sums go straight to y */
    bool in_place;              /* x is read where it is */
    bool strips;                /* and results are finished six rows at a time */
    /* the second way */
    uint16_t *shared;           /* x in blocks [rows, width], one for each part of the depth */
    size_t row, rows;           /* of x that are in it */
    size_t from, until;         /* part of the depth */
    size_t block_rows, block_cols, across;
    bool add;
};

/* An even width that cuts the depth into equal parts. */
static size_t width_of(size_t depth, size_t most)
{
    return round_to(parts(depth, parts(depth, most)), PANEL);
}

void gemm_bf16_finish(const struct kernels *k, const struct gemm_out *y, size_t row, size_t col, size_t m, size_t n,
                      float *c, size_t ldc)
{
    if (y->done)
        y->done(y->ctx, row, col, m, n, c, ldc);
    for (size_t i = 0; i < m; i++) {
        const float *from = c + i * ldc;
        size_t at = (row + i) * y->ld + col;
        if (y->f32) {
            float *to = y->f32 + at;
            for (size_t p = 0; p < n; p++)
                to[p] = from[p] + (y->bias ? y->bias[col + p] : 0) + (y->add ? to[p] : 0);
        }
        if (y->bf16 && y->bias)
            k->pack->from_sum(y->bf16 + at, from, y->bias + col, n);
        else if (y->bf16)
            k->pack->from_f32(y->bf16 + at, from, n);
    }
}

/* The memory that finishing rows x cols touches, to be asked for in so many turns. */
struct touched {
    struct fetch of[4];
};

static struct touched touched_begin(const struct gemm_out *y, size_t row, size_t rows, size_t col, size_t cols, size_t turns)
{
    struct touched t = {0};
    for (size_t i = 0; i < 4; i++) {
        struct gemm_in x = {.bf16 = i < 3 ? y->touched[i] : y->bf16, .ld = y->ld};
        if (x.bf16)
            t.of[i] = fetch_rows(&x, row, rows, col, cols, turns);
    }
    return t;
}

static inline void touched_some(struct touched *t)
{
    for (size_t i = 0; i < 4; i++)
        fetch_some(t->of + i);
}

/* --- many rows -------------------------------------------------------------------- */

/* Rows of a task: so many that 2, 4 and 8 threads end together, as far as that goes. */
static size_t tall_rows(size_t m)
{
    size_t best = TALL_ROWS;
    double best_time = 1e9;
    for (size_t rows = TALL_ROWS; rows >= TALL_ROWS * 3 / 4; rows -= SIX) {
        double time = 0;
        for (size_t threads = 2; threads <= 8; threads *= 2) {
            size_t last = m / rows % threads ? rows : m % rows;
            time += (double)((m / rows / threads * rows + last) * threads) / (double)m;
        }
        if (time < best_time - 0.005) {         /* more rows, all else equal */
            best_time = time;
            best = rows;
        }
    }
    return best;
}

/* gemm_bf16_block, and then what is done with it: the memory that this touches is asked for meanwhile, a
 * few lines after each tile (all at once they would be waited for). */
static void tall_block(const struct job *j, const uint16_t *copy, size_t row, size_t col, size_t rows, size_t cols, float *c)
{
    const struct kernels *k = j->k->k;
    size_t tiles = parts(cols, PANEL) * parts(rows, SIX) * parts(j->depth, j->width);
    struct touched ahead = touched_begin(j->y, row, rows, col, cols, tiles);
    for (size_t d = 0; d < j->depth; d += j->width)
        for (size_t n = 0; n < cols; n += PANEL)
            for (size_t i = 0; i < rows; i += SIX) {
                const uint16_t *a = copy + d * rows + i * j->width;
                k->gemm_bf16_tile(least(rows - i, SIX), least(cols - n, PANEL), parts(least(j->depth - d, j->width), 2), a,
                                  j->width, 2, j->panels + (col + n) / PANEL * j->panel + d * PANEL, c + i * TALL_COLS + n,
                                  TALL_COLS, d > 0, i + SIX < rows ? a + SIX * j->width : copy + d * rows);
                touched_some(&ahead);
            }
    gemm_bf16_finish(k, j->y, row, col, rows, cols, c, TALL_COLS);
}

static void tall_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    const struct kernels *k = j->k->k;
    size_t row = task * j->own, rows = least(j->m - row, j->own);
    uint16_t *copy = team_scratch(j->k->team, worker);
    float *room = (float *)(void *)(copy + TALL_ROWS * round_to(j->depth, j->width));
    for (size_t d = 0; d < j->depth; d += j->width)
        gemm_bf16_copy(k, copy + d * rows, j->width, &j->x, row, rows, d, least(j->depth - d, j->width));
    for (size_t col = 0; !j->direct && col < j->n; col += TALL_COLS)
        tall_block(j, copy, row, col, rows, least(j->n - col, TALL_COLS), room);
    for (size_t d = 0; j->direct && d < j->depth; d += j->width) {
        struct spread a = {copy + d * rows, j->width, 2, SIX * j->width};
        gemm_bf16_block(k, rows, j->n, parts(least(j->depth - d, j->width), 2), &a, j->panels + d * PANEL, j->panel,
                        j->y->f32 + row * j->y->ld, j->y->ld, d > 0 || j->y->add, NULL);
    }
}

/* --- turning a weight ---------------------------------------------------------------- */

enum { TURN_COLS = 1024 };

/* To panels over k of pairs along n, `panel` elements from one to the next; a task takes 64 of n. */
static void turn_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    size_t panel = round_to(j->depth, PANEL) * PANEL, across = parts(j->n, TURN_COLS);
    size_t col = task % across * TURN_COLS, end = least(j->n, col + TURN_COLS), d = task / across;
    (void)worker;
    for (size_t c = col; c < end; c += PANEL)
        j->k->k->pack->turn(j->turned + c / PANEL * panel + d * PANEL * PANEL, j->panels + d * j->panel + c * PANEL,
                            least(end - c, PANEL));
}

/* The whole, at the beginning of shared memory. */
static void weight_turn(struct job *j)
{
    j->turned = j->shared;
    team_run(j->k->team, parts(j->n, TURN_COLS) * parts(j->depth, PANEL), turn_task, j);
    j->panels = j->turned;
    j->panel = round_to(j->depth, PANEL) * PANEL;
    j->shared += parts(j->n, PANEL) * j->panel;
}

/* --- few rows, or a large weight ---------------------------------------------------- */

enum { COPY_ROWS = 32 };

static void copy_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    (void)worker;
    size_t groups = parts(j->rows, COPY_ROWS), part = task / groups, r = task % groups * COPY_ROWS;
    size_t d = j->from + part * j->width;
    gemm_bf16_copy(j->k->k, j->shared + (part * j->rows + r) * j->width, j->width, &j->x, j->row + r,
                   least(j->rows - r, COPY_ROWS), d, least(j->until - d, j->width));
}

/* The last part of the sums of rows x cols, six rows at a time over all columns, each finished while it is in the
 * first cache, and what the next touches is asked for meanwhile.  add: to c, else c is room for one strip. */
static void strips_run(const struct job *j, size_t row, size_t rows, size_t col, size_t cols, const struct spread *a,
                       const uint16_t *b, size_t pairs, float *c, size_t ldc, bool add)
{
    size_t across = parts(cols, PANEL), ahead_rows = rows > SIX ? rows - SIX : 0;
    struct touched ahead = touched_begin(j->y, row + SIX, ahead_rows, col, cols, across * parts(rows, SIX));
    const uint16_t *at = a->a;
    for (size_t i = 0; i < rows; i += SIX) {
        const uint16_t *next = i + SIX < rows ? at + a->tile : at;
        for (size_t n = 0; n < cols; n += PANEL) {
            j->k->k->gemm_bf16_tile(least(rows - i, SIX), least(cols - n, PANEL), pairs, at, a->row, a->pair,
                                    b + n / PANEL * j->panel, c + n, ldc, add, next);
            touched_some(&ahead);
        }
        gemm_bf16_finish(j->k->k, j->y, row + i, col, least(rows - i, SIX), cols, c, ldc);
        c += add ? SIX * ldc : 0;
        at = next;
    }
}

static void short_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    size_t r = task / j->across * j->block_rows, rows = least(j->rows - r, j->block_rows);
    size_t col = task % j->across * j->block_cols, cols = least(j->n - col, j->block_cols);
    size_t ldc = j->direct ? j->y->ld : j->block_cols;
    float *c = j->direct ? j->y->f32 + (j->row + r) * ldc + col : team_scratch(j->k->team, worker);
    for (size_t d = j->from; d < j->until; d += j->width) {
        size_t depth = least(j->until - d, j->width);
        const uint16_t *b = j->panels + col / PANEL * j->panel + d * PANEL;
        for (size_t i = 0; i < rows; i += SHORT_ROWS) {
            struct spread a = {j->shared + (d - j->from) * j->rows + (r + i) * j->width, j->width, 2, SIX * j->width};
            if (j->in_place)
                a = (struct spread){j->x.bf16 + (j->row + r + i) * j->x.ld + d, j->x.ld, 2, SIX * j->x.ld};
            size_t some = least(rows - i, SHORT_ROWS);
            bool add = d > j->from || j->add;
            if (j->strips && d + depth == j->until)
                strips_run(j, j->row + r + i, some, col, cols, &a, b, parts(depth, 2), c + (add ? i * ldc : 0), ldc, add);
            else
                gemm_bf16_block(j->k->k, some, cols, parts(depth, 2), &a, b, j->panel, c + i * ldc, ldc, add, NULL);
        }
    }
    if (!j->direct && !j->strips)
        gemm_bf16_finish(j->k->k, j->y, j->row + r, col, rows, cols, c, ldc);
}

/* Some 32 tasks or more, of as many panels as may be together; rows are cut as far as that takes. */
static void strip_blocks(struct job *j)
{
    size_t panels = parts(j->n, PANEL), group = STRIP_BYTES / (j->width * PANEL * sizeof *j->panels);
    group = least(panels, group < 1 ? 1 : least(group, STRIP_PANELS));
    j->block_cols = group * PANEL;
    j->across = parts(panels, group);
    size_t down = parts(32, j->across), most = parts(j->rows, SHORT_BLOCK);
    j->block_rows = round_to(parts(j->rows, down > most ? down : most), SIX);
}

/* The same of at most 4 panels; rows are cut when the panels alone are too few. */
static void short_blocks(struct job *j)
{
    size_t panels = parts(j->n, PANEL), down = parts(j->rows, SHORT_BLOCK);
    size_t group = panels * down / 32;
    group = group < 1 ? 1 : least(group, 4);
    if (panels * down < 16)
        down = least(parts(16, panels), parts(j->rows, TALL_ROWS));
    j->block_rows = round_to(parts(j->rows, down), SIX);
    j->block_cols = group * PANEL;
    j->across = parts(panels, group);
}

static void short_run(struct job *j)
{
    /* Sums that go straight to y can be cut along the depth, others only along the rows. */
    const size_t most = (j->direct ? 8u << 20 : 64u << 20) / sizeof *j->shared;
    size_t deep = round_to(j->depth, j->width), rows = j->in_place ? j->m : least(j->m, 4 * SHORT_BLOCK);
    if (j->in_place)
        ;                       /* nothing to keep */
    else if (j->direct)
        deep = least(deep, round_to(parts(most, rows), j->width));
    else
        rows = least(rows, most / deep ? most / deep : 1);
    for (j->row = 0; j->row < j->m; j->row += rows) {
        j->rows = least(j->m - j->row, rows);
        if (j->strips)
            strip_blocks(j);
        else
            short_blocks(j);
        for (j->from = 0; j->from < j->depth; j->from += deep) {
            j->until = least(j->depth, j->from + deep);
            j->add = j->from > 0 || (j->direct && j->y->add);
            if (!j->in_place)
                team_run(j->k->team, parts(j->until - j->from, j->width) * parts(j->rows, COPY_ROWS), copy_task, j);
            team_run(j->k->team, parts(j->rows, j->block_rows) * j->across, short_task, j);
        }
    }
}

void gemm_bf16(const struct compute *k, size_t m, struct gemm_in x, const struct packed *w, bool backward,
               const struct gemm_out *y)
{
    struct job j = {.k = k, .x = x, .y = y, .m = m, .n = backward ? w->k : w->n, .depth = backward ? w->n : w->k};
    j.panels = w->panels;
    j.panel = round_to(w->k, 2) * PANEL;
    j.direct = y->f32 && !y->bf16 && !y->done && !y->bias;
    j.shared = team_shared(k->team);
    if (!m || !j.n || !j.depth)
        return;
    j.in_place = x.bf16 && j.depth % 2 == 0;
    bool many = m >= TALL && w->bytes <= TALL_BYTES && j.depth <= 12288, tall = many && !j.in_place;
    j.strips = many && j.in_place && !j.direct;
    if (backward && !many && (w->bytes > TURN_BYTES || j.n > 2 * j.depth)) {
        gemm_bf16_dx(k, m, &x, w, y);
        return;
    }
    j.width = width_of(j.depth, tall ? TALL_DEPTH : SHORT_DEPTH);
    if (backward)
        weight_turn(&j);
    if (!tall) {
        short_run(&j);
        return;
    }
    j.own = tall_rows(m);
    team_run(k->team, parts(m, j.own), tall_task, &j);
}
