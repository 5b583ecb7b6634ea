/* kernels/linalg/scores/scores_avx512bf16.c - scores.h with vdpbf16ps, softmax in the shade of the products
 *
 * A tile's products keep both multipliers busy; maxima, roundings, conversions and permutations run on
 * other units.  So what is to be done with one tile of scores is cut into six chores, and the next tile
 * does them between its products: only their few multiplications cost time. */
#ifdef __AVX512BF16__
#include "kernels/linalg/scores/scores.h"

#include "kernels/linalg/inline.h"
#include "kernels/linalg/vec/vec.h"

#include <immintrin.h>

enum { LANES = 16, WIDE = PANEL / LANES, TILE = SIX * PANEL };

static const float log2_e = 1.44269504f;

/* 2^x for what is rounded to bfloat16: by a polynomial of degree 3 over [0, 1), our own fit, relative error 8e-5. */
INLINE __m512 exp2_coarse(__m512 x)
{
    static const float of[4] = { 0.9999252f, 0.69583356f, 0.22606716f, 0.07802452f };
    const float *c = of;
    __asm__("" : "+r"(c));              /* from memory: all registers belong to the tile */
    __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);         /* 0 of -inf */
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(c[3]), f, _mm512_set1_ps(c[2]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c[1]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c[0]));
    return _mm512_scalef_ps(p, x);      /* by 2^floor(x) */
}

INLINE void narrow(uint16_t *to, __m512 low, __m512 high)
{
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* A tile of scores that is finished, and where its chores put what they make of it. */
struct finished {
    _Alignas(64) float s[TILE], dp[TILE];       /* backward: s becomes p */
    float shift[PANEL], dot[PANEL];     /* forward: of rows; backward: of columns.  shift in powers of 2, dot scaled */
    float sum[SIX][LANES];
    float scale, scale2;                /* for powers of 2 */
    uint16_t *p, *ds, *turned;
    size_t ld;
};

INLINE __m512 p_of(const struct finished *t, const float *s, __m512 shift)
{
    return exp2_coarse(_mm512_fmsub_ps(_mm512_load_ps(s), _mm512_set1_ps(t->scale2), shift));
}

/* Probabilities of row i, and their sum. */
INLINE void forward_chore(struct finished *t, size_t i)
{
    const float *s = t->s + i * PANEL;
    uint16_t *p = t->p + i * t->ld;
    __m512 sum = _mm512_load_ps(t->sum[i]);
    UNROLL
    for (size_t c = 0; c < PANEL; c += 2 * LANES) {
        __m512 x = p_of(t, s + c, _mm512_set1_ps(t->shift[i])), y = p_of(t, s + c + LANES, _mm512_set1_ps(t->shift[i]));
        sum = _mm512_add_ps(sum, _mm512_add_ps(x, y));
        narrow(p + c, x, y);
    }
    _mm512_store_ps(t->sum[i], sum);
}

/* Probabilities of row i. */
INLINE void p_chore(struct finished *t, size_t i)
{
    float *s = t->s + i * PANEL;
    uint16_t *p = t->p + i * t->ld;
    UNROLL
    for (size_t c = 0; c < PANEL; c += 2 * LANES) {
        __m512 x = p_of(t, s + c, _mm512_load_ps(t->shift + c));
        _mm512_store_ps(s + c, x);
        __m512 y = p_of(t, s + c + LANES, _mm512_load_ps(t->shift + c + LANES));
        _mm512_store_ps(s + c + LANES, y);
        narrow(p + c, x, y);
    }
}

INLINE __m512 ds_of(const struct finished *t, size_t row, size_t col)
{
    size_t at = row * PANEL + col;
    __m512 dp = _mm512_fmsub_ps(_mm512_load_ps(t->dp + at), _mm512_set1_ps(t->scale), _mm512_load_ps(t->dot + col));
    return _mm512_mul_ps(dp, _mm512_load_ps(t->s + at));
}

/* Gradients of two rows' scores, in 32 columns, both ways. */
INLINE void ds_chore(struct finished *t, size_t i)
{
    static const uint16_t zip[2 * LANES] = { 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
                                             8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    size_t row = i / 2 * 2, col = i % 2 * 2 * LANES;
    uint16_t *ds = t->ds + row * t->ld + col, *turned = t->turned + row * PANEL + 2 * col;
    __m512i order = _mm512_loadu_si512(zip);
    __m512 a = ds_of(t, row, col), b = ds_of(t, row + 1, col);
    _mm512_storeu_si512(turned, _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a)));
    __m512 c = ds_of(t, row, col + LANES), d = ds_of(t, row + 1, col + LANES);
    _mm512_storeu_si512(turned + 2 * LANES, _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(d, c)));
    narrow(ds, a, c);
    narrow(ds + t->ld, b, d);
}

/* to[6, 64] = a b over so many pairs; meanwhile the chores of t, unless NULL. */
INLINE void tile(float *to, const uint16_t *a, const uint16_t *b, size_t pairs,
                 void (*chore)(struct finished *, size_t), struct finished *t)
{
    __m512 sum[SIX][WIDE];
    size_t row = 2 * pairs;
    const uint16_t *next = a + SIX * row;       /* six more rows, asked for meanwhile */
    UNROLL
    for (size_t i = 0; i < SIX; i++)
        UNROLL
        for (size_t j = 0; j < WIDE; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (size_t part = 0; part < SIX; part++) {
        for (size_t p = pairs * part / SIX; p < pairs * (part + 1) / SIX; p++) {
            __m512bh bv[WIDE];
            UNROLL
            for (size_t j = 0; j < WIDE; j++)
                bv[j] = (__m512bh)_mm512_loadu_si512(b + 2 * LANES * j);
            UNROLL
            for (size_t i = 0; i < SIX; i++) {
                int pair;
                __builtin_memcpy(&pair, a + i * row, sizeof pair);
                UNROLL
                for (size_t j = 0; j < WIDE; j++)
                    sum[i][j] = _mm512_dpbf16_ps(sum[i][j], (__m512bh)_mm512_set1_epi32(pair), bv[j]);
            }
            __builtin_prefetch(next);
            a += 2;
            b += 2 * PANEL;
            next += 2 * SIX;
        }
        if (t)
            chore(t, part);
    }
    UNROLL
    for (size_t i = 0; i < SIX; i++)
        UNROLL
        for (size_t j = 0; j < WIDE; j++)
            _mm512_store_ps(to + i * PANEL + j * LANES, sum[i][j]);
}

static void forward(const struct kernels *k, const struct scores *x)
{
    struct finished t;
    t.scale2 = x->scale * log2_e;
    t.p = x->p;
    t.ld = x->ld;
    for (size_t i = 0; i < SIX; i++)
        _mm512_store_ps(t.sum[i], _mm512_setzero_ps());
    for (size_t c = 0; c < x->n; c += PANEL) {
        tile(t.s, x->q, x->k + c * 2 * x->pairs, x->pairs, forward_chore, c ? &t : NULL);
        scores_hide(t.s, x->seen, c);
        t.p = x->p + c;
        for (size_t i = 0; i < SIX && c == 0; i++) {
            if (x->guess)
                x->shift[i] = scores_shift(k->vec->max(t.s + i * PANEL, PANEL), x->scale);
            t.shift[i] = x->shift[i] * log2_e;
        }
    }
    for (size_t i = 0; i < SIX; i++) {
        forward_chore(&t, i);
        x->sum[i] += _mm512_reduce_add_ps(_mm512_load_ps(t.sum[i]));
    }
}

/* What the chores of columns c ... c + 63 need. */
static void columns_set(struct finished *t, const struct scores_back *x, size_t c)
{
    for (size_t i = 0; i < PANEL; i++) {
        t->shift[i] = x->lse[c + i] * log2_e;
        t->dot[i] = x->dot[c + i] * x->scale;
    }
}

static void backward(const struct kernels *k, const struct scores_back *x)
{
    struct finished t, *last = NULL;
    size_t d = 2 * x->pairs, set = x->n;
    (void)k;
    t.scale = x->scale;
    t.scale2 = x->scale * log2_e;
    t.ld = x->ld;
    for (size_t c = 0; c < x->n; c += PANEL)
        for (size_t r = 0; r < x->rows; r += SIX) {
            size_t at = r * x->ld + c;
            uint16_t *turned = x->turned + c / PANEL * x->panel + r * PANEL;
            if (scores_pass(x, r, c))
                continue;
            tile(t.s, x->k + r * d, x->q + c * d, x->pairs, ds_chore, last);
            scores_hide(t.s, x->seen + r, c);
            if (set != c)
                columns_set(&t, x, set = c);
            t.p = x->p + at;
            t.ds = x->ds + at;
            t.turned = turned;
            last = &t;
            tile(t.dp, x->v + r * d, x->d_o + c * d, x->pairs, p_chore, last);
        }
    for (size_t i = 0; i < SIX && last; i++)
        ds_chore(last, i);
}

const struct scores_kernel scores_avx512bf16 = { .forward = forward, .backward = backward };
#endif
