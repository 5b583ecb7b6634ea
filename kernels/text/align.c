/* kernels/text/align.c - see align.h
 *
 * Column j of the table says what the first i symbols of a and the first j of b cost.
 * Neighbours differ by 1 at most, so a column is two bits a row: is it one more than
 * the row above (up), one less (down)?  A third, new with each column, says whether a
 * cell costs the same as the one before it on the diagonal (same). */
#include "kernels/text/align.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 64, TRACE = 1 << 16 };    /* TRACE: words that the kept bits of a stretch may always take */

/* --- where each symbol is in a ---------------------------------------------------- */
struct common { uint64_t symbol, *rows; };

struct matches {
    uint64_t *at;               /* [n]: symbol << 32 | row, sorted */
    size_t n, words;
    struct common common[BITS]; /* symbols in more than n / 64 rows, which are fewer than 64 */
    size_t commons;
    uint64_t *bits;             /* theirs, and the last [words] for a rare symbol */
    size_t from, to;            /* rows of the rare symbol that is set there */
};

static int order(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* The first of m->at that is not before `key`. */
static size_t find(const struct matches *m, uint64_t key)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->at[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void row_set(uint64_t *rows, uint64_t at) { rows[(uint32_t)at / BITS] |= UINT64_C(1) << at % BITS; }

static int matches_make(struct matches *m, const uint32_t *a, size_t n)
{
    *m = (struct matches){ .n = n, .words = (n + BITS - 1) / BITS, .at = malloc(n * sizeof *m->at) };
    for (size_t i = 0; m->at && i < n; i++)
        m->at[i] = (uint64_t)a[i] << 32 | i;
    if (!m->at)
        return -1;
    qsort(m->at, n, sizeof *m->at, order);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && m->at[end] >> 32 == m->at[i] >> 32; end++)
            ;
        if (end - i > m->words)
            m->common[m->commons++].symbol = m->at[i] >> 32;
    }
    m->bits = calloc((m->commons + 1) * m->words, sizeof *m->bits);
    for (size_t k = 0; m->bits && k < m->commons; k++) {
        struct common *c = m->common + k;
        c->rows = m->bits + k * m->words;
        for (size_t i = find(m, c->symbol << 32); i < n && m->at[i] >> 32 == c->symbol; i++)
            row_set(c->rows, m->at[i]);
    }
    return m->bits ? 0 : -1;
}

/* The rows of a that hold the symbol, valid until the next call. */
static const uint64_t *matches_of(struct matches *m, uint64_t symbol)
{
    for (size_t k = 0; k < m->commons; k++)
        if (m->common[k].symbol == symbol)
            return m->common[k].rows;
    uint64_t *rows = m->bits + m->commons * m->words;
    while (m->from < m->to)
        rows[(uint32_t)m->at[m->from++] / BITS] = 0;
    m->from = m->to = find(m, symbol << 32);
    for (; m->to < m->n && m->at[m->to] >> 32 == symbol; m->to++)
        row_set(rows, m->at[m->to]);
    return rows;
}

/* --- a column after another --------------------------------------------------------- */
struct table {
    struct matches matches;
    const uint32_t *b;
    size_t m, stretch;          /* columns between those that are kept */
    uint64_t *up, *down;        /* of the column at hand */
    uint64_t *kept;             /* [m / stretch + 1][up, down] */
    uint64_t *trace;            /* [stretch][same, up] */
};

/* The next column, of its first `words` words; trace, if not NULL, takes the bits that the way back asks for. */
static void column_next(struct table *t, uint32_t symbol, size_t words, uint64_t *trace)
{
    const uint64_t *match = matches_of(&t->matches, symbol);
    uint64_t more = 1, less = 0;                /* the row above the block, against the column before: row 0 is one more */
    for (size_t w = 0; w < words; w++) {
        uint64_t up = t->up[w], down = t->down[w], hit = match[w] | less;
        uint64_t same = (((hit & up) + up) ^ up) | hit | down;
        uint64_t right = down | ~(same | up), left = up & same, any = match[w] | down;
        uint64_t right_in = right << 1 | more, left_in = left << 1 | less;
        more = right >> (BITS - 1);
        less = left >> (BITS - 1);
        t->up[w] = left_in | ~(any | right_in);
        t->down[w] = right_in & any;
        if (trace) {
            trace[w] = same;
            trace[t->matches.words + w] = t->up[w];
        }
    }
}

static void column_keep(struct table *t, size_t j)
{
    size_t words = t->matches.words;
    uint64_t *to = t->kept + j / t->stretch * 2 * words;
    memcpy(to, t->up, words * sizeof *to);
    memcpy(to + words, t->down, words * sizeof *to);
}

static void column_take(struct table *t, size_t j)
{
    size_t words = t->matches.words;
    const uint64_t *from = t->kept + j / t->stretch * 2 * words;
    memcpy(t->up, from, words * sizeof *from);
    memcpy(t->down, from + words, words * sizeof *from);
}

static bool bit(const uint64_t *rows, size_t i) { return rows[i / BITS] >> i % BITS & 1; }

/* The way back through columns (from, *j], while there are rows. */
static void walk(struct wer_count *c, const struct table *t, const uint32_t *a, size_t from, size_t *i, size_t *j)
{
    while (*i && *j > from) {
        const uint64_t *same = t->trace + (*j - 1 - from) * 2 * t->matches.words, *up = same + t->matches.words;
        if (a[*i - 1] == t->b[*j - 1]) {
            c->hits++;
            --*i, --*j;
        } else if (!bit(same, *i - 1)) {
            c->substitutions++;
            --*i, --*j;
        } else if (bit(up, *i - 1)) {
            c->deletions++;
            --*i;
        } else {
            c->insertions++;
            --*j;
        }
    }
}

static int table_make(struct table *t, const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    size_t root = 1;
    *t = (struct table){ .b = b, .m = m };
    if (matches_make(&t->matches, a, n) < 0)
        return -1;
    size_t words = t->matches.words;
    while (root * root < m)
        root++;
    t->stretch = TRACE / words > root ? TRACE / words : root;
    t->stretch = t->stretch < m ? t->stretch : m;
    t->up = malloc(words * sizeof *t->up);
    t->down = calloc(words, sizeof *t->down);
    t->kept = malloc((m / t->stretch + 1) * 2 * words * sizeof *t->kept);
    t->trace = malloc(t->stretch * 2 * words * sizeof *t->trace);
    if (!t->up || !t->down || !t->kept || !t->trace)
        return -1;
    memset(t->up, 0xff, words * sizeof *t->up);         /* row i of column 0 costs i */
    return 0;
}

static void table_release(struct table *t)
{
    free(t->matches.at);
    free(t->matches.bits);
    free(t->up);
    free(t->down);
    free(t->kept);
    free(t->trace);
}

int align(struct wer_count *c, const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    struct table t;
    for (; n && m && a[n - 1] == b[m - 1]; n--, m--)
        c->hits++;
    if (!n || !m) {
        c->deletions += n;
        c->insertions += m;
        return 0;
    }
    int rc = table_make(&t, a, n, b, m);
    size_t from = rc == 0 ? (m - 1) / t.stretch * t.stretch : 0, i = n, j = m;
    for (size_t k = 0; rc == 0 && k <= from; k++) {
        if (k % t.stretch == 0)
            column_keep(&t, k);
        if (k < from)
            column_next(&t, b[k], t.matches.words, NULL);
    }
    while (rc == 0 && i && j) {         /* a stretch is made again as far down as the way back goes */
        column_take(&t, from);
        for (size_t k = from; k < j; k++)
            column_next(&t, b[k], (i + BITS - 1) / BITS, t.trace + (k - from) * 2 * t.matches.words);
        walk(c, &t, a, from, &i, &j);
        from -= j == from && from ? t.stretch : 0;
    }
    if (rc == 0) {
        c->deletions += i;
        c->insertions += j;
    }
    table_release(&t);
    return rc;
}
