/* kernels/linalg/gemm/gemm_bf16_dw.c - dw = dy^T x, summed over tokens
 *
 * Both operands are laid out anew, pairs of neighbouring tokens together.  With
 * few rows of dw (a layer): a chunk of tokens of both into shared memory, then
 * tiles of dw.  With many (a vocabulary): x into shared memory, and a task
 * takes 96 rows of dw over all columns, laying out its part of dy itself. */
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/vec/vec.h"

enum {
    TOKENS = 352,               /* most summed in registers at once */
    GROUP = 384,                /* columns that one task lays out */
    MANY = 8192,                /* rows of dw */
    MANY_ROWS = 96,
    MANY_EACH = 8,              /* times as many are a task: so that it can look ahead */
    WIDEST = 32768,             /* columns of dw at once */
    /* Laid out together: little, so that what is asked for ahead is still in the last cache; but a large dw
     * is read and written once for each, which costs more. */
    SHARE_SMALL = 3 << 20, SMALL_BYTES = 4 << 20, SHARE_LARGE = 8 << 20,
    SUMS = 1 << 16,             /* tasks, at most: of a vocabulary of 50 million */
};

struct job {
    const struct compute *k;
    struct gemm_in dy, x;
    size_t n, kk;
    float *dw;
    size_t lddw;
    uint16_t *sixes, *panels;   /* [blocks of tokens] [sixes of n] or [panels of kk] */
    size_t block_sixes, block_panels;           /* elements of one block of tokens */
    size_t col, cols;           /* of x and dw */
    size_t token, tokens;       /* of this chunk */
    size_t next;                /* tokens of the chunk after it */
    size_t span;                /* tokens of a block: all blocks about the same */
    size_t rows, wide, across;  /* of a tile */
    bool add;
    double *squares;            /* one a task, of what is then complete; or NULL */
};

static void sixes_make(const struct job *j, uint16_t *to, size_t token, size_t tokens, size_t row, size_t rows)
{
    for (size_t r = row; r < row + rows; r += SIX * SIXES, to += SIXES * SIX * j->span) {
        size_t some = least(row + rows - r, SIX * SIXES);
        if (j->dy.bf16)
            j->k->k->pack->six_bf16(to, SIX * j->span, j->dy.bf16 + token * j->dy.ld + r, j->dy.ld, tokens, some);
        else
            j->k->k->pack->six_f32(to, SIX * j->span, j->dy.f32 + token * j->dy.ld + r, j->dy.ld, tokens, some);
    }
}

static void panels_make(const struct job *j, uint16_t *to, size_t token, size_t tokens, size_t col, size_t cols)
{
    for (size_t c = col; c < col + cols; c += PANEL, to += PANEL * j->span) {
        size_t some = least(col + cols - c, PANEL);
        if (j->x.bf16)
            j->k->k->pack->rows_bf16(to, j->x.bf16 + token * j->x.ld + c, j->x.ld, tokens, some);
        else
            j->k->k->pack->rows_f32(to, j->x.f32 + token * j->x.ld + c, j->x.ld, tokens, some);
    }
}

static void layout_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    (void)worker;
    size_t of_dy = j->sixes ? parts(j->n, GROUP) : 0, each = of_dy + parts(j->cols, GROUP);
    size_t block = task / each, g = task % each;
    size_t token = j->token + block * j->span, tokens = least(j->token + j->tokens - token, j->span);
    if (g < of_dy)
        sixes_make(j, j->sixes + block * j->block_sixes + g * GROUP * j->span, token, tokens, g * GROUP,
                   least(j->n - g * GROUP, GROUP));
    else {
        size_t c = (g - of_dy) * GROUP;
        panels_make(j, j->panels + block * j->block_panels + c * j->span, token, tokens, j->col + c,
                    least(j->cols - c, GROUP));
    }
}

/* Rows row ... row + rows - 1 over all columns, of one block of tokens; meanwhile the next rows of dy come nearer. */
static void rows_multiply(const struct job *j, uint16_t *own, size_t block, size_t row, size_t rows, size_t end)
{
    size_t tokens = least(j->tokens - block * j->span, j->span), from = j->token + block * j->span, six = SIX * j->span;
    struct fetch ahead = {0};
    sixes_make(j, own, from, tokens, row, rows);
    if (row + rows < end)
        ahead = fetch_rows(&j->dy, from, tokens, row + rows, least(end - row - rows, MANY_ROWS),
                           parts(rows, SIX) * parts(j->cols, PANEL));
    for (size_t col = 0; col < j->cols; col += PANEL)
        for (size_t i = 0; i < rows; i += SIX) {
            const uint16_t *at = own + i * j->span, *next = i + SIX < rows ? at + six : own;
            j->k->k->gemm_bf16_tile(least(rows - i, SIX), least(j->cols - col, PANEL), parts(tokens, 2), at, 2, 2 * SIX,
                                    j->panels + block * j->block_panels + col * j->span,
                                    j->dw + (row + i) * j->lddw + j->col + col, j->lddw, block > 0 || j->add, next);
            fetch_some(&ahead);
        }
}

/* The task has just written these for the last time. */
static void squares_sum(const struct job *j, size_t task, size_t row, size_t rows, size_t col, size_t cols)
{
    double sum = 0;
    for (size_t r = row; r < row + rows; r++)
        sum += j->k->k->vec->squares(j->dw + r * j->lddw + j->col + col, cols);
    j->squares[task] += sum;
}

static void rows_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    uint16_t *own = team_scratch(j->k->team, worker);
    size_t from = task * MANY_EACH * MANY_ROWS, end = least(j->n, from + MANY_EACH * MANY_ROWS);
    for (size_t row = from; row < end; row += MANY_ROWS) {
        size_t rows = least(end - row, MANY_ROWS), blocks = parts(j->tokens, j->span);
        for (size_t block = 0; block < blocks; block++)
            rows_multiply(j, own, block, row, rows, block + 1 < blocks ? 0 : end);
        if (j->squares)
            squares_sum(j, task, row, rows, 0, j->cols);
    }
}

static void tile_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    (void)worker;
    size_t row = task / j->across * j->rows, rows = least(j->n - row, j->rows);
    size_t col = task % j->across * j->wide, cols = least(j->cols - col, j->wide), blocks = parts(j->tokens, j->span);
    /* Its share of the next chunk, asked for while this one is multiplied: what lays it out finds it in the caches. */
    size_t tasks = parts(j->n, j->rows) * j->across, turns = blocks * parts(rows, SIX) * parts(cols, PANEL);
    size_t from = j->next * task / tasks, some = j->next * (task + 1) / tasks - from, at = j->token + j->tokens + from;
    struct fetch ahead[2] = { fetch_rows(&j->dy, at, some, 0, j->n, turns),
                              fetch_rows(&j->x, at, some, j->col, j->cols, turns) };
    for (size_t block = 0; block < blocks; block++) {
        size_t tokens = least(j->tokens - block * j->span, j->span);
        struct spread a = { .a = j->sixes + block * j->block_sixes + row * j->span, .row = 2, .pair = 2 * SIX,
                            .tile = SIX * j->span };
        gemm_bf16_block(j->k->k, rows, cols, parts(tokens, 2), &a, j->panels + block * j->block_panels + col * j->span,
                        PANEL * j->span, j->dw + row * j->lddw + j->col + col, j->lddw, block > 0 || j->add, ahead);
    }
    if (j->squares)
        squares_sum(j, task, row, rows, col, cols);
}

/* Tiles large enough to be worth reading their operands, some 24 of them or more. */
static void tiles_choose(struct job *j)
{
    j->rows = 192;
    j->wide = 256;
    while (parts(j->n, j->rows) * parts(j->cols, j->wide) < 24) {
        if (j->wide > 128)
            j->wide /= 2;
        else if (j->rows > 48)
            j->rows /= 2;
        else
            break;
    }
}

/* *squares: NULL, or to be added to. */
static void columns_run(struct job *j, size_t m, bool add, double *squares)
{
    const size_t room = (TEAM_SHARED - SUMS * sizeof *squares) / sizeof(uint16_t);
    double *sums = (double *)(void *)((uint8_t *)team_shared(j->k->team) + TEAM_SHARED) - SUMS;
    bool many = j->n > MANY;
    j->span = m ? round_to(parts(m, parts(m, TOKENS)), 8) : 8;
    j->block_sixes = many ? 0 : round_to(j->n, SIX) * j->span;
    j->block_panels = round_to(j->cols, PANEL) * j->span;
    tiles_choose(j);
    j->across = parts(j->cols, j->wide);
    size_t one = j->block_sixes + j->block_panels;
    size_t share = j->n * j->cols * sizeof *j->dw > SMALL_BYTES ? SHARE_LARGE : SHARE_SMALL;
    size_t blocks = share / sizeof(uint16_t) / one;
    blocks = blocks < 1 ? 1 : least(blocks, room / one);
    j->sixes = many ? NULL : team_shared(j->k->team);
    j->panels = (uint16_t *)team_shared(j->k->team) + round_to(blocks * j->block_sixes, 32);
    for (j->token = 0; j->token < m; j->token += j->tokens) {
        j->tokens = least(m - j->token, blocks * j->span);
        j->next = least(m - j->token - j->tokens, blocks * j->span);
        j->add = add || j->token > 0;
        size_t each = (many ? 0 : parts(j->n, GROUP)) + parts(j->cols, GROUP);
        team_run(j->k->team, parts(j->tokens, j->span) * each, layout_task, j);
        size_t tasks = many ? parts(j->n, MANY_EACH * MANY_ROWS) : parts(j->n, j->rows) * j->across;
        j->squares = squares && j->token + j->tokens >= m ? sums : NULL;
        for (size_t i = 0; j->squares && i < tasks; i++)
            sums[i] = 0;
        team_run(j->k->team, tasks, many ? rows_task : tile_task, j);
        for (size_t i = 0; j->squares && i < tasks; i++)
            *squares += sums[i];
    }
}

void gemm_bf16_dw(const struct compute *k, size_t m, size_t n, size_t kk, struct gemm_in dy, struct gemm_in x,
                  bool add, float *dw, size_t lddw, double *squares)
{
    struct job j = {.k = k, .dy = dy, .x = x, .n = n, .kk = kk, .dw = dw, .lddw = lddw};
    if (squares)
        *squares = 0;
    if (!n)
        return;
    for (j.col = 0; j.col < kk; j.col += WIDEST) {
        j.cols = least(kk - j.col, WIDEST);
        columns_run(&j, m, add, squares);
    }
}
