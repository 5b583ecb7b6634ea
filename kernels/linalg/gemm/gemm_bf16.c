/* kernels/linalg/gemm/gemm_bf16.c - y = x w^T and dx = dy w (+ dy' w' ...): blocks of rows and panels for the team
 *
 * Two ways, by shape and types alone.  Many rows that are to be rounded: a task takes
 * some 96 of them, rounds them into its own scratch, and passes the whole weight.
 * Else: a task takes a few panels of the weight and many rows, so that a weight larger
 * than the caches (a vocabulary) is read from memory once; x is read where it is if
 * that is bfloat16, else rounded once into shared memory.  For dx the weight is turned before, all of it; where that
 * costs more than it gains it is gemm_bf16_dx.c's. */
#include "kernels/linalg/gemm/gemm_bf16.h"

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
    DEEPEST = 12288,            /* sum of many rows */
    TERMS = 16, TERM_ROWS = 1024,       /* of a sum; of each weight: with deeper ones one after the other is as fast or faster */
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

struct term {
    struct gemm_in x;
    size_t from, until;         /* of the depth; in memory that was turned a multiple of 64 */
};

struct job {
    const struct compute *k;
    struct term term[TERMS];    /* one, unless dx is a sum */
    const struct gemm_out *y;
    const uint16_t *panels;
    size_t panel;               /* elements from one to the next */
    const struct gemm_term *of; /* what is turned, for dx; */
    size_t count;
    uint16_t *turned;           /* and where to */
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

/* The memory that finishing rows x cols touches, to be asked for in so many turns. */
struct touched {
    struct fetch of[4];
};

static struct touched touched_begin(const struct gemm_out *y, size_t row, size_t rows, size_t col, size_t cols, size_t turns)
{
    struct touched t = {0};
    for (size_t i = 0; i < 4; i++) {
        struct gemm_in x = {.bf16 = i < 3 ? y->touched[i] : y->bf16, .f32 = i < 3 ? NULL : y->plus, .ld = y->ld};
        if (x.bf16 || x.f32)
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
        gemm_bf16_copy(k, copy + d * rows, j->width, &j->term->x, row, rows, d, least(j->depth - d, j->width));
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
    size_t across = parts(j->n, TURN_COLS), col = task % across * TURN_COLS, end = least(j->n, col + TURN_COLS);
    size_t d = task / across * PANEL, i = 0;
    (void)worker;
    while (d >= round_to(j->term[i].until, PANEL))
        i++;
    const uint16_t *from = j->of[i].w->panels + (d - j->term[i].from) * round_to(j->n, 2);
    for (size_t c = col; c < end; c += PANEL)
        j->k->k->pack->turn(j->turned + c / PANEL * j->panel + d * PANEL, from + c * PANEL, least(end - c, PANEL));
}

/* All weights as a whole, one below the other, at the beginning of shared memory. */
static void weights_turn(struct job *j)
{
    size_t deep = round_to(j->depth, PANEL);
    j->turned = j->shared;
    j->panels = j->turned;
    j->panel = deep * PANEL;
    team_run(j->k->team, parts(j->n, TURN_COLS) * (deep / PANEL), turn_task, j);
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
    gemm_bf16_copy(j->k->k, j->shared + (part * j->rows + r) * j->width, j->width, &j->term->x, j->row + r,
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
    const struct term *t = j->term;
    for (size_t d = j->from, depth; d < j->until; d += depth) {
        while (d >= t->until)
            d = (++t)->from;
        depth = least(least(t->until, j->until) - d, j->width);
        const uint16_t *b = j->panels + col / PANEL * j->panel + d * PANEL;
        for (size_t i = 0; i < rows; i += SHORT_ROWS) {
            struct spread a = {j->shared + (d - j->from) * j->rows + (r + i) * j->width, j->width, 2, SIX * j->width};
            if (j->in_place)
                a = (struct spread){t->x.bf16 + (j->row + r + i) * t->x.ld + d - t->from, t->x.ld, 2, SIX * t->x.ld};
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

/* m rows of x, many if they are to be read where they are in so many bytes of weights. */
static bool many_rows(size_t m, size_t bytes, size_t depth) { return m >= TALL && bytes <= TALL_BYTES && depth <= DEEPEST; }

static bool reads_in_place(const struct gemm_in *x, size_t depth) { return x->bf16 && depth % 2 == 0; }

static void job_run(struct job *j, size_t bytes)
{
    bool many = many_rows(j->m, bytes, j->depth), tall = many && !j->in_place;
    size_t deepest = 0;
    j->direct = gemm_bf16_direct(j->y);
    j->strips = many && j->in_place && !j->direct;
    j->shared = team_shared(j->k->team);
    for (size_t i = 0; i < j->count; i++)
        deepest = j->term[i].until - j->term[i].from > deepest ? j->term[i].until - j->term[i].from : deepest;
    j->width = width_of(deepest, tall ? TALL_DEPTH : SHORT_DEPTH);
    if (j->of)
        weights_turn(j);
    if (!tall) {
        short_run(j);
        return;
    }
    j->own = tall_rows(j->m);
    team_run(j->k->team, parts(j->m, j->own), tall_task, j);
}

static void forward(const struct compute *k, size_t m, struct gemm_in x, const struct packed *w, const struct gemm_out *y)
{
    struct job j = {.k = k, .y = y, .m = m, .n = w->n, .depth = w->k, .panels = w->panels, .count = 1};
    j.panel = round_to(w->k, 2) * PANEL;
    j.term[0] = (struct term){x, 0, j.depth};
    j.in_place = reads_in_place(&x, j.depth);
    if (m && j.n && j.depth)
        job_run(&j, w->bytes);
}

bool gemm_bf16_sums(size_t m, size_t count, size_t rows, size_t k)
{
    size_t bytes = packed_bytes(rows, k);
    return count < 2 || (count <= TERMS && rows <= count * TERM_ROWS && (bytes <= TURN_BYTES || many_rows(m, bytes, rows)));
}

void gemm_bf16_sum(const struct compute *k, size_t m, const struct gemm_term *of, size_t count, const struct gemm_out *dx)
{
    struct job j = {.k = k, .y = dx, .m = m, .n = of->w->k, .of = of, .count = count};
    size_t bytes = 0;
    j.in_place = reads_in_place(&of->x, of->w->n);
    for (size_t i = 0; i < count; i++) {
        size_t from = round_to(j.depth, PANEL);
        j.term[i] = (struct term){of[i].x, from, j.depth = from + of[i].w->n};
        bytes += of[i].w->bytes;
    }
    if (!m || !j.n || !j.depth)
        return;
    if (count == 1 && !many_rows(m, bytes, j.depth) && (bytes > TURN_BYTES || j.n > 2 * j.depth))
        gemm_bf16_dx(k, m, &of->x, of->w, dx);
    else
        job_run(&j, bytes);
}

void gemm_bf16(const struct compute *k, size_t m, struct gemm_in x, const struct packed *w, bool backward,
               const struct gemm_out *y)
{
    if (backward)
        gemm_bf16_sum(k, m, &(struct gemm_term){x, w}, 1, y);
    else
        forward(k, m, x, w, y);
}
