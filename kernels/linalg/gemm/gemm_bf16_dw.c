/* kernels/linalg/gemm/gemm_bf16_dw.c - dw = dy^T x, summed over tokens
 *
 * Both operands are laid out anew, pairs of neighbouring tokens together.  With
 * few rows of dw (a layer): a chunk of tokens of both into shared memory, then
 * tiles of dw; several dy of one x at once.  With many (a vocabulary): x into shared memory, and a task
 * takes 96 rows of dw over all columns, laying out its part of dy itself.
 * The sums of dy's columns are taken while it is laid out, as it is in the first cache then. */
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/vec/vec.h"

enum {
    TOKENS = 704, MANY_TOKENS = 352,            /* most summed in registers at once */
    GROUP = 384,                /* columns that one task lays out */
    MANY = 8192,                /* rows of dw */
    MANY_ROWS = 96,
    MANY_EACH = 8,              /* times as many are a task: so that it can look ahead */
    WIDEST = 32768,             /* columns of dw at once */
    /* Laid out together: little, so that what is asked for ahead is still in the last cache; but a large dw
     * is read and written once for each, which costs more. */
    SHARE_SMALL = 3 << 20, SMALL_BYTES = 4 << 20, SHARE_LARGE = 8 << 20,
    BLOCKS = 64,                /* of tokens, at most: of very small dw */
    SUMS = 1 << 16,             /* tasks, at most: of a vocabulary of 50 million */
    TOGETHER = 16, TOGETHER_ROWS = 2048,        /* most that are laid out with one x; their rows */
};

struct job {
    const struct compute *k;
    struct gemm_in x;
    size_t kk;
    const struct gemm_dw *of;
    size_t count;
    /* Where each of them begins: among the rows of the sixes; among the layout tasks of a block; among the tiles. */
    size_t row[TOGETHER + 1], lay[TOGETHER + 1], tile[TOGETHER + 1];
    uint16_t *sixes, *panels;   /* [blocks of tokens] [sixes of rows] or [panels of kk] */
    size_t block_sixes, block_panels;           /* elements of one block of tokens */
    size_t col, cols;           /* of x and dw */
    size_t token, tokens;       /* of this chunk */
    size_t next;                /* tokens of the chunk after it */
    size_t span;                /* tokens of a block: all blocks about the same */
    size_t rows, wide, across;  /* of a tile */
    bool first;                 /* chunk: the sums begin */
    bool wants_db;
    float *part;                /* [blocks, rows]: sums of dy's columns over the tokens of a block */
    double *db;                 /* [rows]: over all */
    double *squares;            /* one a task, of what is then complete; or NULL */
};

static bool adds(const struct job *j, const struct gemm_dw *d) { return d->add || !j->first; }

/* Which of them `at` belongs to. */
static size_t one_of(const size_t *first, size_t at)
{
    size_t i = 0;
    while (at >= first[i + 1])
        i++;
    return i;
}

/* sum: NULL, or what becomes the sums of these columns over these tokens. */
static void sixes_make(const struct job *j, const struct gemm_in *dy, uint16_t *to, size_t token, size_t tokens, size_t row,
                       size_t rows, float *sum)
{
    const struct kernels *k = j->k->k;
    for (size_t r = row; r < row + rows; r += SIX * SIXES, to += SIXES * SIX * j->span) {
        size_t some = least(row + rows - r, SIX * SIXES), at = token * dy->ld + r;
        if (dy->bf16)
            k->pack->six_bf16(to, SIX * j->span, dy->bf16 + at, dy->ld, tokens, some);
        else
            k->pack->six_f32(to, SIX * j->span, dy->f32 + at, dy->ld, tokens, some);
        if (sum && dy->bf16)
            k->vec->columns_half(sum + r - row, dy->bf16 + at, dy->ld, tokens, some);
        else if (sum)
            k->vec->columns(sum + r - row, dy->f32 + at, dy->ld, tokens, some);
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
    size_t of_dy = j->sixes ? j->lay[j->count] : 0, each = of_dy + parts(j->cols, GROUP);
    size_t block = task / each, g = task % each;
    size_t token = j->token + block * j->span, tokens = least(j->token + j->tokens - token, j->span);
    if (g < of_dy) {
        size_t i = one_of(j->lay, g), from = (g - j->lay[i]) * GROUP, at = j->row[i] + from;
        const struct gemm_dw *d = j->of + i;
        float *sum = d->db && j->col == 0 ? j->part + block * j->row[j->count] + at : NULL;
        sixes_make(j, &d->dy, j->sixes + block * j->block_sixes + at * j->span, token, tokens, from,
                   least(d->n - from, GROUP), sum);
    } else {
        size_t c = (g - of_dy) * GROUP;
        panels_make(j, j->panels + block * j->block_panels + c * j->span, token, tokens, j->col + c,
                    least(j->cols - c, GROUP));
    }
}

/* Rows row ... row + rows - 1 over all columns, of one block of tokens; meanwhile the next rows of dy come nearer. */
static void rows_multiply(const struct job *j, uint16_t *own, size_t block, size_t row, size_t rows, size_t end)
{
    const struct gemm_dw *d = j->of;
    size_t tokens = least(j->tokens - block * j->span, j->span), from = j->token + block * j->span, six = SIX * j->span;
    bool sums = d->db && j->col == 0;
    float sum[MANY_ROWS];
    struct fetch ahead = {0};
    sixes_make(j, &d->dy, own, from, tokens, row, rows, sums ? sum : NULL);
    for (size_t i = 0; sums && i < rows; i++)
        j->db[row + i] += (double)sum[i];
    if (row + rows < end)
        ahead = fetch_rows(&d->dy, from, tokens, row + rows, least(end - row - rows, MANY_ROWS),
                           parts(rows, SIX) * parts(j->cols, PANEL));
    for (size_t col = 0; col < j->cols; col += PANEL)
        for (size_t i = 0; i < rows; i += SIX) {
            const uint16_t *at = own + i * j->span, *next = i + SIX < rows ? at + six : own;
            j->k->k->gemm_bf16_tile(least(rows - i, SIX), least(j->cols - col, PANEL), parts(tokens, 2), at, 2, 2 * SIX,
                                    j->panels + block * j->block_panels + col * j->span,
                                    d->dw + (row + i) * d->ld + j->col + col, d->ld, block > 0 || adds(j, d), next);
            fetch_some(&ahead);
        }
}

/* The task has just written these for the last time. */
static void squares_sum(const struct job *j, const struct gemm_dw *d, size_t task, size_t row, size_t rows, size_t col,
                        size_t cols)
{
    double sum = 0;
    for (size_t r = row; r < row + rows; r++)
        sum += j->k->k->vec->squares(d->dw + r * d->ld + j->col + col, cols);
    j->squares[task] += sum;
}

static void rows_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    uint16_t *own = team_scratch(j->k->team, worker);
    size_t from = task * MANY_EACH * MANY_ROWS, end = least(j->of->n, from + MANY_EACH * MANY_ROWS);
    for (size_t row = from; row < end; row += MANY_ROWS) {
        size_t rows = least(end - row, MANY_ROWS), blocks = parts(j->tokens, j->span);
        for (size_t block = 0; block < blocks; block++)
            rows_multiply(j, own, block, row, rows, block + 1 < blocks ? 0 : end);
        if (j->squares && j->of->squares)
            squares_sum(j, j->of, task, row, rows, 0, j->cols);
    }
}

/* Its share, of `tasks`, of the next chunk, asked for while this one is multiplied: what lays it out finds it in the caches. */
static struct fetch next_share(const struct job *j, const struct gemm_in *x, size_t task, size_t tasks, size_t col,
                               size_t cols, size_t turns)
{
    size_t from = j->next * task / tasks, some = j->next * (task + 1) / tasks - from;
    return fetch_rows(x, j->token + j->tokens + from, some, col, cols, turns);
}

static void tile_task(void *ctx, size_t task, int worker)
{
    const struct job *j = ctx;
    (void)worker;
    size_t i = one_of(j->tile, task), at = task - j->tile[i];
    const struct gemm_dw *d = j->of + i;
    size_t row = at / j->across * j->rows, rows = least(d->n - row, j->rows);
    size_t col = at % j->across * j->wide, cols = least(j->cols - col, j->wide), blocks = parts(j->tokens, j->span);
    size_t turns = blocks * parts(rows, SIX) * parts(cols, PANEL);
    struct fetch ahead[2] = { next_share(j, &d->dy, at, j->tile[i + 1] - j->tile[i], 0, d->n, turns),
                              next_share(j, &j->x, task, j->tile[j->count], j->col, j->cols, turns) };
    for (size_t block = 0; block < blocks; block++) {
        size_t tokens = least(j->tokens - block * j->span, j->span);
        struct spread a = { .a = j->sixes + block * j->block_sixes + (j->row[i] + row) * j->span, .row = 2,
                            .pair = 2 * SIX, .tile = SIX * j->span };
        gemm_bf16_block(j->k->k, rows, cols, parts(tokens, 2), &a, j->panels + block * j->block_panels + col * j->span,
                        PANEL * j->span, d->dw + row * d->ld + j->col + col, d->ld, block > 0 || adds(j, d), ahead);
    }
    if (j->squares && d->squares)
        squares_sum(j, d, task, row, rows, col, cols);
}

static size_t tiles_count(struct job *j)
{
    j->across = parts(j->cols, j->wide);
    for (size_t i = 0; i < j->count; i++)
        j->tile[i + 1] = j->tile[i] + parts(j->of[i].n, j->rows) * j->across;
    return j->tile[j->count];
}

/* Tiles large enough to be worth reading their operands, some 24 of them or more. */
static void tiles_choose(struct job *j)
{
    j->rows = 192;
    j->wide = 256;
    while (tiles_count(j) < 24) {
        if (j->wide > 128)
            j->wide /= 2;
        else if (j->rows > 48)
            j->rows /= 2;
        else
            break;
    }
}

/* Cuts the shared memory, at its end what sums need; returns how many blocks of tokens a chunk has. */
static size_t memory_cut(struct job *j, bool many, double **squares)
{
    size_t rows = j->row[j->count], all = 0, one = j->block_sixes + j->block_panels;
    uint8_t *shared = team_shared(j->k->team);
    *squares = (double *)(void *)(shared + TEAM_SHARED) - SUMS;
    j->db = *squares - (j->wants_db ? rows : 0);
    j->part = (float *)(void *)j->db - (j->wants_db && !many ? BLOCKS * rows : 0);
    size_t room = (size_t)((uint8_t *)j->part - shared) / sizeof *j->sixes;
    for (size_t i = 0; i < j->count; i++)
        all += j->of[i].n * j->cols * sizeof *j->of->dw;
    size_t blocks = (all > SMALL_BYTES ? SHARE_LARGE : SHARE_SMALL) / sizeof *j->sixes / one;
    blocks = blocks < 1 ? 1 : least(least(blocks, room / one), BLOCKS);
    j->sixes = many ? NULL : (uint16_t *)(void *)shared;
    j->panels = (uint16_t *)(void *)shared + round_to(blocks * j->block_sixes, 32);
    return blocks;
}

/* A chunk's sums of columns to those of all. */
static void sums_add(struct job *j)
{
    size_t rows = j->row[j->count];
    for (size_t i = 0; i < j->count; i++)
        for (size_t b = 0; j->of[i].db && b < parts(j->tokens, j->span); b++)
            for (size_t r = j->row[i]; r < j->row[i] + j->of[i].n; r++)
                j->db[r] += (double)j->part[b * rows + r];
}

static void columns_run(struct job *j, size_t m)
{
    bool many = j->of->n > MANY;
    double *squares;
    j->span = m ? round_to(parts(m, parts(m, many ? MANY_TOKENS : TOKENS)), 8) : 8;
    j->block_sixes = many ? 0 : j->row[j->count] * j->span;
    j->block_panels = round_to(j->cols, PANEL) * j->span;
    j->wants_db = false;
    for (size_t i = 0; i < j->count; i++)
        j->wants_db |= j->of[i].db && j->col == 0;
    size_t blocks = memory_cut(j, many, &squares);
    tiles_choose(j);
    if (many)
        j->tile[1] = parts(j->of->n, MANY_EACH * MANY_ROWS);
    for (size_t r = 0; j->wants_db && r < j->row[j->count]; r++)
        j->db[r] = 0;
    for (j->token = 0; j->token < m; j->token += j->tokens) {
        j->tokens = least(m - j->token, blocks * j->span);
        j->next = least(m - j->token - j->tokens, blocks * j->span);
        j->first = j->token == 0;
        j->squares = j->token + j->tokens >= m ? squares : NULL;
        for (size_t i = 0; j->squares && i < j->tile[j->count]; i++)
            squares[i] = 0;
        size_t each = (many ? 0 : j->lay[j->count]) + parts(j->cols, GROUP);
        team_run(j->k->team, parts(j->tokens, j->span) * each, layout_task, j);
        if (j->wants_db && !many)
            sums_add(j);
        team_run(j->k->team, j->tile[j->count], many ? rows_task : tile_task, j);
    }
    for (size_t i = 0; i < j->count; i++) {
        const struct gemm_dw *d = j->of + i;
        for (size_t task = j->tile[i]; m && d->squares && task < j->tile[i + 1]; task++)
            *d->squares += squares[task];
        for (size_t r = 0; d->db && j->col == 0 && r < d->n; r++)
            d->db[r] = (d->add_db ? d->db[r] : 0) + (float)j->db[j->row[i] + r];
    }
}

void gemm_bf16_dw(const struct compute *k, size_t m, struct gemm_in x, size_t kk, const struct gemm_dw *of, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (of[i].squares)
            *of[i].squares = 0;
    for (size_t i = 0, some; i < count; i += some) {
        struct job j = {.k = k, .x = x, .kk = kk, .of = of + i};
        for (some = 0; i + some < count && some < TOGETHER; some++) {
            size_t n = of[i + some].n;
            if (some && j.row[some] + n > TOGETHER_ROWS)
                break;
            j.row[some + 1] = j.row[some] + round_to(n, SIX);
            j.lay[some + 1] = j.lay[some] + parts(n, GROUP);
        }
        j.count = some;
        for (j.col = 0; j.col < kk; j.col += WIDEST) {
            j.cols = least(kk - j.col, WIDEST);
            columns_run(&j, m);
        }
    }
}
