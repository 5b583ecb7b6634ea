/* tests/unit/gemm_bf16_test.c - bfloat16 products against a sum in double of the rounded operands */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/pack/pack.h"
#include "tests/unit/noise.h"
#include "tests/unit/tap.h"

#include <stdatomic.h>
#include <stdlib.h>

static uint16_t *rounded_new(const float *x, size_t n)
{
    uint16_t *r = malloc((n + 1) * sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i] = bf16_of(x[i]);
    return r;
}

/* want[m,n] = sum over k of a(i,p) b(p,j); strides say what a and b are. */
static float *product_new(size_t m, size_t n, size_t k, const uint16_t *a, size_t ai, size_t ap, const uint16_t *b,
                          size_t bp, size_t bj, size_t ldc, const float *plus)
{
    float *want = malloc((m * ldc + 1) * sizeof *want), *af = malloc((k + 1) * sizeof *af);
    double *sum = malloc((n + 1) * sizeof *sum);
    float *bf = malloc((k * n + 1) * sizeof *bf);
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n; j++)
            bf[p * n + j] = bf16_float(b[p * bp + j * bj]);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            sum[j] = plus ? (double)plus[i * ldc + j] : 0;
        for (size_t p = 0; p < k; p++) {
            af[p] = bf16_float(a[i * ai + p * ap]);
            for (size_t j = 0; j < n; j++)
                sum[j] += (double)af[p] * (double)bf[p * n + j];
        }
        for (size_t j = 0; j < ldc; j++)
            want[i * ldc + j] = j < n ? (float)sum[j] : plus ? plus[i * ldc + j] : 0;
    }
    free(af), free(bf), free(sum);
    return want;
}

/* Terms are below 1, so a sum of `depth` of them is about sqrt(depth), and float32 sums differ by its rounding. */
static bool close_to(const float *got, const float *want, size_t m, size_t n, size_t ldc, size_t depth, const char *what)
{
    double limit = 1e-6 * (1 + sqrt((double)depth));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double e = fabs((double)got[i * ldc + j] - (double)want[i * ldc + j]);
            if (!(e <= limit)) {
                printf("# %s: error %g (limit %g) at row %zu column %zu: got %g want %g\n", what, e, limit, i, j,
                       (double)got[i * ldc + j], (double)want[i * ldc + j]);
                return false;
            }
        }
    return true;
}

struct blocks {
    float *to;
    size_t ld;
    _Atomic size_t covered;
};

static void take_block(void *ctx, size_t row, size_t col, size_t m, size_t n, float *c, size_t ldc)
{
    struct blocks *b = ctx;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            b->to[(row + i) * b->ld + col + j] = c[i * ldc + j];
            c[i * ldc + j] *= 2;
        }
    atomic_fetch_add(&b->covered, m * n);
}

/* The bias of n columns, as float32 (on top of what is there) and as bfloat16; y is left without it. */
static bool with_bias(const struct compute *c, size_t m, size_t n, size_t k, struct gemm_in x,
                      const struct packed *p, float *y,
                      const float *want)
{
    float *bias = noise_new(n);
    uint16_t *half = calloc(m * (n + 5), sizeof *half);
    for (size_t i = 0; i < m * (n + 5); i++)
        y[i] = 0.5f;
    gemm_bf16(c, m, x, p, false, &(struct gemm_out){.f32 = y, .ld = n + 5, .bias = bias, .add = true});
    gemm_bf16(c, m, x, p, false, &(struct gemm_out){.bf16 = half, .ld = n + 5, .bias = bias});
    bool good = true;
    for (size_t i = 0; i < m * (n + 5); i++) {
        float added = i % (n + 5) < n ? bias[i % (n + 5)] : 0, all = want[i] + added, got = bf16_float(half[i]);
        y[i] -= 0.5f + added;
        good = good && (i % (n + 5) >= n || fabsf(got - all) <= 0.004f * fabsf(all) + 1e-4f);
    }
    good = close_to(y, want, m, n, n + 5, k, "y += x w^T + bias") && good;
    free(bias);
    free(half);
    return good;
}

/* y, dx and dw of one weight [n,k] and m tokens, from both types of input. */
static bool right(const struct compute *c, size_t m, size_t n, size_t k)
{
    float *w = noise_new(n * (k + 2)), *x = noise_new(m * (k + 1)), *dy = noise_new(m * (n + 3));
    uint16_t *wr = rounded_new(w, n * (k + 2)), *xr = rounded_new(x, m * (k + 1)), *dyr = rounded_new(dy, m * (n + 3));
    struct packed *p = packed_new(n, k);
    packed_set(c, p, w, k + 2);
    float *y = noise_new(m * (n + 5)), *dx = noise_new(m * k), *dw = noise_new(n * k);
    float *y_plus = product_new(m, n, k, xr, k + 1, 1, wr, 1, k + 2, n + 5, y);
    float *y_want = product_new(m, n, k, xr, k + 1, 1, wr, 1, k + 2, n + 5, NULL);
    float *dx_want = product_new(m, k, n, dyr, n + 3, 1, wr, k + 2, 1, k, NULL);
    float *dw_want = product_new(n, k, m, dyr, 1, n + 3, xr, k + 1, 1, k, NULL);
    float *dw_plus = product_new(n, k, m, dyr, 1, n + 3, xr, k + 1, 1, k, dw);
    struct gemm_in xf = {.f32 = x, .ld = k + 1}, xb = {.bf16 = xr, .ld = k + 1};
    struct gemm_in df = {.f32 = dy, .ld = n + 3}, db = {.bf16 = dyr, .ld = n + 3};

    gemm_bf16(c, m, xf, p, false, &(struct gemm_out){.f32 = y, .ld = n + 5, .add = true});
    bool good = close_to(y, y_plus, m, n + 5, n + 5, k, "y += x w^T");
    for (size_t i = 0; i < m * (n + 5); i++)
        y[i] = NAN;
    gemm_bf16(c, m, xb, p, false, &(struct gemm_out){.f32 = y, .ld = n + 5});
    good = close_to(y, y_want, m, n, n + 5, k, "y = x w^T") && good;
    good = with_bias(c, m, n, k, xb, p, y, y_want) && good;
    gemm_bf16(c, m, df, p, true, &(struct gemm_out){.f32 = dx, .ld = k});
    good = close_to(dx, dx_want, m, k, k, n, "dx = dy w") && good;
    for (size_t i = 0; i < m * k; i++)
        dx[i] = NAN;
    gemm_bf16(c, m, db, p, true, &(struct gemm_out){.f32 = dx, .ld = k});
    good = close_to(dx, dx_want, m, k, k, n, "dx = dy w, dy bfloat16") && good;
    gemm_bf16_dw(c, m, xb, k, &(struct gemm_dw){.dy = df, .n = n, .dw = dw, .ld = k, .add = true}, 1);
    good = close_to(dw, dw_plus, n, k, k, m, "dw += dy^T x") && good;
    double squares = NAN, all = 0;
    gemm_bf16_dw(c, m, xf, k, &(struct gemm_dw){.dy = db, .n = n, .dw = dw, .ld = k, .squares = &squares}, 1);
    for (size_t i = 0; i < n * k; i++)
        all += (double)dw[i] * (double)dw[i];
    if (!(fabs(squares - all) <= 1e-6 * all)) {
        printf("# squares of dw: got %g want %g\n", squares, all);
        good = false;
    }
    good = close_to(dw, dw_want, n, k, k, m, "dw = dy^T x") && good;

    /* Through done: every element once, changed in place before it is stored, also as bfloat16. */
    uint16_t *half = calloc(m * n + 1, 2);
    float *wide = malloc((m * n + 1) * 4);
    for (int rounded = 0; rounded < 2; rounded++) {
        struct blocks b = {.to = y, .ld = n + 5};
        for (size_t i = 0; i < m * (n + 5); i++)
            y[i] = NAN;
        gemm_bf16(c, m, rounded ? xb : xf, p, false,
                  &(struct gemm_out){.bf16 = half, .ld = n, .done = take_block, .ctx = &b});
        good = close_to(y, y_want, m, n, n + 5, k, "y in blocks") && b.covered == m * n && good;
        c->k->pack->to_f32(wide, half, m * n);
        for (size_t i = 0; i < m * n && good; i++) {
            float now = y_want[i / n * (n + 5) + i % n];
            good = fabsf(wide[i] / 2 - now) <= 0.004f * fabsf(now) + 1e-5f;
        }
    }
    struct blocks b = {.to = dx, .ld = k};
    for (size_t i = 0; i < m * k; i++)
        dx[i] = NAN;
    gemm_bf16(c, m, db, p, true, &(struct gemm_out){.ld = k, .done = take_block, .ctx = &b});
    good = close_to(dx, dx_want, m, k, k, n, "dx in blocks") && b.covered == m * k && good;
    if (!good)
        printf("# at m %zu n %zu k %zu\n", m, n, k);
    packed_free(p);
    free(w), free(x), free(dy), free(wr), free(xr), free(dyr), free(y), free(dx), free(dw), free(y_plus), free(y_want);
    free(dx_want), free(dw_want), free(dw_plus), free(half), free(wide);
    return good;
}

static void same_bits(const struct kernels *k, size_t m, size_t n, size_t kk)
{
    float *w = noise_new(n * kk), *x = noise_new(m * kk), *dy = noise_new(m * n);
    uint16_t *xr = rounded_new(x, m * kk), *dyr = rounded_new(dy, m * n);
    size_t size = 2 * m * n + 2 * m * kk + n * kk;
    float *out[2] = {calloc(size, 4), calloc(size, 4)};
    bool good = true;
    for (int threads = 1; threads <= 7; threads += 3) {
        struct compute c = {.team = team_new(threads, NULL), .k = k};
        struct packed *p = packed_new(n, kk);
        packed_set(&c, p, w, kk);
        float *y = out[threads > 1], *dx = y + 2 * m * n, *dw = dx + 2 * m * kk;
        gemm_bf16(&c, m, (struct gemm_in){.f32 = x, .ld = kk}, p, false, &(struct gemm_out){.f32 = y, .ld = n});
        gemm_bf16(&c, m, (struct gemm_in){.f32 = dy, .ld = n}, p, true, &(struct gemm_out){.f32 = dx, .ld = kk});
        gemm_bf16(&c, m, (struct gemm_in){.bf16 = xr, .ld = kk}, p, false, &(struct gemm_out){.f32 = y + m * n, .ld = n});
        gemm_bf16(&c, m, (struct gemm_in){.bf16 = dyr, .ld = n}, p, true, &(struct gemm_out){.f32 = dx + m * kk, .ld = kk});
        gemm_bf16_dw(&c, m, (struct gemm_in){.f32 = x, .ld = kk}, kk,
                     &(struct gemm_dw){.dy = {.f32 = dy, .ld = n}, .n = n, .dw = dw, .ld = kk}, 1);
        good = good && (threads == 1 || memcmp(out[0], out[1], size * 4) == 0);
        packed_free(p);
        team_free(c.team);
    }
    ok(good, "%s: the same bits from 1, 4 and 7 threads, %zu tokens, weight %zux%zu", kernels_name(k), m, n, kk);
    free(w), free(x), free(dy), free(xr), free(dyr), free(out[0]), free(out[1]);
}

static void rounding(const struct kernels *k)
{
    enum { N = 77 };
    float x[N];
    uint16_t got[N + 1], want[N + 1] = {0};
    for (size_t i = 0; i < N; i++)
        x[i] = noise() * (i % 3 ? 1.0f : 1e20f);
    uint32_t ties[] = {0x3f808000, 0x3f818000, 0x3f817fff, 0x3f808001, 0x7f7fffff, 0x7f800000, 0xff800000, 0x80000000};
    memcpy(x, ties, sizeof ties);
    memset(got, 0xee, sizeof got);
    k->pack->from_f32(got, x, N);
    pack_ref.from_f32(want, x, N);
    ok(memcmp(got, want, N * 2) == 0 && got[N] == 0xeeee, "%s: rounds to nearest, ties to even, and stops at the end",
       kernels_name(k));
    static const size_t lengths[] = {N, 64, 32, 31, 16, 1};
    bool same = true;
    float y[N];
    for (size_t i = 0; i < N; i++)
        y[i] = i < 5 ? 0 : noise();
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        size_t n = lengths[l];
        memset(got, 0xee, sizeof got);
        k->pack->from_sum(got, x, y, n);
        pack_ref.from_sum(want, x, y, n);
        same = same && memcmp(got, want, n * 2) == 0 && got[n] == 0xeeee;
    }
    ok(same, "%s: so is a sum", kernels_name(k));
    x[0] = NAN;
    k->pack->from_f32(got, x, 1);
    ok(isnan(bf16_float(got[0])), "%s: NaN stays NaN", kernels_name(k));
}

int main(void)
{
    ok(bf16_of(1.00390625f) == 0x3f80 && bf16_of(1.01171875f) == 0x3f82, "a tie goes to the even neighbour");
    static const char *names[] = {"ref", "avx2", "avx512", "avx512bf16", "neon"};
    static const size_t large[][3] = {{100, 65, 600}, {7, 130, 1100}, {300, 200, 97}, {1030, 70, 33},
                                      {1100, 70, 1600}, {40, 8200, 35}, {3000, 33, 20}, {13, 16500, 70}, {1030, 600, 130}};
    struct team *team = team_new(3, NULL);
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        struct compute k = {.team = team, .k = kernels_choose(names[v]), .bf16 = true};
        if (!k.k)
            continue;
        rounding(k.k);
        bool good = true;
        for (size_t m = 1; m <= 40; m += m < 8 ? 1 : 5)
            for (size_t n = 1; n <= 40; n += n < 4 ? 1 : 6)
                for (size_t kk = 1; kk <= 40; kk += kk < 4 ? 1 : 9)
                    good = right(&k, m, n, kk) && good;
        ok(good, "%s: y, dx and dw of all small shapes", names[v]);
        for (size_t s = 0; s < sizeof large / sizeof *large; s++)
            ok(right(&k, large[s][0], large[s][1], large[s][2]), "%s: %zu tokens, weight %zux%zu", names[v],
               large[s][0], large[s][1], large[s][2]);
        same_bits(k.k, 1100, 100, 200);
        same_bits(k.k, 50, 700, 60);
        same_bits(k.k, 9, 16400, 70);
    }
    team_free(team);
    return done();
}
