/* tests/unit/gemm_together_test.c - weights that read one x: the sum that is its gradient, and their own gradients with
 * those of their biases, against sums in double of the rounded operands */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/pack/pack.h"
#include "tests/unit/noise.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

enum { MOST = 20 };

struct weights {                /* count weights [n[i], k] and the gradients [m, n[i] + 2] of their results */
    size_t m, k, count;
    const size_t *n;
    float *w[MOST], *dy[MOST];
    uint16_t *wr[MOST], *dyr[MOST], *x;
    struct packed *packed[MOST];
};

static uint16_t *rounded_new(const float *x, size_t n)
{
    uint16_t *r = malloc(n * sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i] = bf16_of(x[i]);
    return r;
}

static struct weights weights_new(const struct compute *c, size_t m, size_t k, const size_t *n, size_t count)
{
    struct weights w = { .m = m, .k = k, .n = n, .count = count };
    float *x = noise_new(m * k);
    w.x = rounded_new(x, m * k);
    free(x);
    for (size_t i = 0; i < count; i++) {
        w.w[i] = noise_new(n[i] * k);
        w.dy[i] = noise_new(m * (n[i] + 2));
        w.wr[i] = rounded_new(w.w[i], n[i] * k);
        w.dyr[i] = rounded_new(w.dy[i], m * (n[i] + 2));
        w.packed[i] = packed_new(n[i], k);
        packed_set(c, w.packed[i], w.w[i], k);
    }
    return w;
}

static void weights_free(struct weights *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->w[i]), free(w->dy[i]), free(w->wr[i]), free(w->dyr[i]);
        packed_free(w->packed[i]);
    }
    free(w->x);
}

static struct gemm_in grad_of(const struct weights *w, size_t i, bool rounded)
{
    return (struct gemm_in){ .f32 = rounded ? NULL : w->dy[i], .bf16 = rounded ? w->dyr[i] : NULL, .ld = w->n[i] + 2 };
}

static bool near(float got, double want, size_t depth, double rounding)
{
    return fabs((double)got - want) <= 1e-6 * (1 + sqrt((double)depth)) + rounding * fabs(want);
}

/* --- dx --------------------------------------------------------------------------- */
static double *sum_new(const struct weights *w, size_t *depth)
{
    double *dx = calloc(w->m * w->k, sizeof *dx);
    *depth = 0;
    for (size_t i = 0; i < w->count; i++, *depth += w->n[i - 1])
        for (size_t t = 0; t < w->m; t++)
            for (size_t r = 0; r < w->n[i]; r++) {
                double dy = (double)bf16_float(w->dyr[i][t * (w->n[i] + 2) + r]);
                for (size_t c = 0; c < w->k; c++)
                    dx[t * w->k + c] += dy * (double)bf16_float(w->wr[i][r * w->k + c]);
            }
    return dx;
}

static bool sums(const struct compute *c, const struct weights *w)
{
    size_t depth, rows = 0, n = w->m * w->k;
    for (size_t i = 0; i < w->count; i++)
        rows += (w->n[i] + 63) / 64 * 64;
    if (!gemm_bf16_sums(w->m, w->count, rows, w->k)) {
        printf("# refused: %zu tokens, %zu weights of %zu rows\n", w->m, w->count, rows);
        return false;
    }
    struct gemm_term of[MOST];
    for (size_t i = 0; i < w->count; i++)
        of[i] = (struct gemm_term){ grad_of(w, i, true), w->packed[i] };
    double *want = sum_new(w, &depth);
    float *wide = noise_new(n), *before = malloc(n * sizeof *before);
    uint16_t *half = calloc(n, sizeof *half);
    memcpy(before, wide, n * sizeof *wide);
    gemm_bf16_sum(c, w->m, of, w->count, &(struct gemm_out){ .f32 = wide, .ld = w->k, .add = true });
    gemm_bf16_sum(c, w->m, of, w->count, &(struct gemm_out){ .bf16 = half, .ld = w->k });
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        good = good && near(wide[i], want[i] + (double)before[i], depth, 0);
        good = good && near(bf16_float(half[i]), want[i], depth, 1.0 / 256);
    }
    free(want), free(wide), free(before), free(half);
    return good;
}

/* --- dw and db ------------------------------------------------------------------------- */
static bool weight_right(const struct weights *w, size_t i, const float *dw, const float *db, double squares, float before)
{
    double all = 0;
    bool good = true;
    double *row = malloc(w->k * sizeof *row);
    for (size_t r = 0; r < w->n[i]; r++) {
        double sum = (double)before;
        for (size_t c = 0; c < w->k; c++)
            row[c] = (double)before;
        for (size_t t = 0; t < w->m; t++) {
            double dy = (double)bf16_float(w->dyr[i][t * (w->n[i] + 2) + r]);
            sum += dy;
            for (size_t c = 0; c < w->k; c++)
                row[c] += dy * (double)bf16_float(w->x[t * w->k + c]);
        }
        for (size_t c = 0; c < w->k; c++) {
            good = good && near(dw[r * w->k + c], row[c], w->m, 0);
            all += (double)dw[r * w->k + c] * (double)dw[r * w->k + c];
        }
        good = good && (!db || near(db[r], sum, w->m, 0));
    }
    free(row);
    return good && fabs(squares - all) <= 1e-6 * all;
}

/* Every third has no bias; every other is added to what is there. */
static bool gradients(const struct compute *c, const struct weights *w)
{
    struct gemm_dw of[MOST];
    double squares[MOST];
    bool good = true;
    for (size_t i = 0; i < w->count; i++) {
        size_t n = w->n[i] * w->k;
        float *dw = malloc(n * sizeof *dw), *db = i % 3 == 2 ? NULL : malloc(w->n[i] * sizeof *db);
        of[i] = (struct gemm_dw){ .dy = grad_of(w, i, true), .n = w->n[i], .dw = dw, .ld = w->k, .add = i % 2,
                                  .squares = squares + i, .db = db, .add_db = i % 2 };
        for (size_t j = 0; j < n; j++)
            dw[j] = i % 2 ? 0.5f : NAN;
        for (size_t j = 0; db && j < w->n[i]; j++)
            db[j] = i % 2 ? 0.5f : NAN;
    }
    gemm_bf16_dw(c, w->m, (struct gemm_in){ .bf16 = w->x, .ld = w->k }, w->k, of, w->count);
    for (size_t i = 0; i < w->count; i++)
        good = weight_right(w, i, of[i].dw, of[i].db, squares[i], i % 2 ? 0.5f : 0) && good;
    for (size_t i = 0; i < w->count; i++)
        free(of[i].dw), free(of[i].db);
    return good;
}

/* Gradients in float32 are rounded for the products, not for the biases. */
static bool bias_of_float32(const struct compute *c, const struct weights *w)
{
    float *dw = malloc(w->n[0] * w->k * sizeof *dw), *db = malloc(w->n[0] * sizeof *db);
    struct gemm_dw of = { .dy = grad_of(w, 0, false), .n = w->n[0], .dw = dw, .ld = w->k, .db = db };
    gemm_bf16_dw(c, w->m, (struct gemm_in){ .bf16 = w->x, .ld = w->k }, w->k, &of, 1);
    bool good = true;
    for (size_t r = 0; r < w->n[0]; r++) {
        double sum = 0;
        for (size_t t = 0; t < w->m; t++)
            sum += (double)w->dy[0][t * (w->n[0] + 2) + r];
        good = good && near(db[r], sum, w->m, 0);
    }
    free(dw), free(db);
    return good;
}

static bool same_bits(const struct kernels *k, size_t m, size_t kk, const size_t *n, size_t count)
{
    size_t dws = 0, size;
    for (size_t i = 0; i < count; i++)
        dws += n[i] * (kk + 1);
    size = dws + m * kk;
    float *out[2] = { calloc(size, sizeof(float)), calloc(size, sizeof(float)) };
    bool good = true;
    struct compute one = { .team = team_new(1, NULL), .k = k, .bf16 = true };
    struct weights w = weights_new(&one, m, kk, n, count);
    for (int threads = 1; threads <= 5; threads += 2) {
        struct compute c = { .team = team_new(threads, NULL), .k = k, .bf16 = true };
        struct gemm_dw of[MOST];
        struct gemm_term terms[MOST];
        float *to = out[threads > 1], *dx = to + dws;
        for (size_t i = 0; i < count; i++) {
            of[i] = (struct gemm_dw){ .dy = grad_of(&w, i, true), .n = n[i], .dw = to, .ld = kk, .db = to + n[i] * kk };
            terms[i] = (struct gemm_term){ grad_of(&w, i, true), w.packed[i] };
            to += n[i] * (kk + 1);
        }
        gemm_bf16_dw(&c, m, (struct gemm_in){ .bf16 = w.x, .ld = kk }, kk, of, count);
        gemm_bf16_sum(&c, m, terms, count, &(struct gemm_out){ .f32 = dx, .ld = kk });
        good = good && (threads == 1 || memcmp(out[0], out[1], size * sizeof(float)) == 0);
        team_free(c.team);
    }
    weights_free(&w);
    team_free(one.team);
    free(out[0]), free(out[1]);
    return good;
}

/* y = plus + x w^T + bias, plus in memory of its own. */
static bool plus_added(const struct compute *c, size_t m, size_t k, size_t n)
{
    struct weights w = weights_new(c, m, k, &n, 1);
    float *plus = noise_new(m * n), *bias = noise_new(n), *y = malloc(m * n * sizeof *y), *sum = malloc(m * n * sizeof *sum);
    struct gemm_in x = { .bf16 = w.x, .ld = k };
    gemm_bf16(c, m, x, w.packed[0], false, &(struct gemm_out){ .f32 = sum, .ld = n });
    gemm_bf16(c, m, x, w.packed[0], false, &(struct gemm_out){ .f32 = y, .ld = n, .plus = plus, .bias = bias });
    bool good = true;
    for (size_t i = 0; i < m * n; i++)
        good = good && near(y[i], (double)plus[i] + (double)sum[i] + (double)bias[i % n], k, 0);
    weights_free(&w);
    free(plus), free(bias), free(y), free(sum);
    return good;
}

static const size_t three[] = { 128, 32, 70 }, one[] = { 96 }, odd[] = { 7, 50, 13, 1 }, large[] = { 40, 8200, 30 };
static const size_t many[] = { 2000, 1500, 700, 64, 48, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20 };

static void variant(const struct compute *c, const char *name)
{
    static const struct { size_t m, k; const size_t *n; size_t count; bool sums; } cases[] = {
        { 40, 70, three, 3, true }, { 1100, 70, three, 3, true }, { 1, 64, three, 3, true }, { 50, 33, one, 1, true },
        { 1500, 600, three, 2, true }, { 90, 20, odd, 4, false }, { 1030, 20, many, 20, false }, { 70, 35, large, 3, false },
        { 1030, 24, three, 3, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights w = weights_new(c, cases[i].m, cases[i].k, cases[i].n, cases[i].count);
        bool good = gradients(c, &w) && bias_of_float32(c, &w);
        good = (!cases[i].sums || sums(c, &w)) && good;
        ok(good, "%s: %zu tokens, %zu weights of %zu columns", name, cases[i].m, cases[i].count, cases[i].k);
        weights_free(&w);
    }
    ok(plus_added(c, 1100, 70, 130) && plus_added(c, 30, 70, 130) && plus_added(c, 1100, 33, 600),
       "%s: a product on top of something else", name);
    ok(same_bits(c->k, 1100, 70, three, 3) && same_bits(c->k, 60, 70, three, 3), "%s: the same bits from 1, 3 and 5 threads",
       name);
}

int main(void)
{
    static const char *names[] = { "ref", "avx2", "avx512", "avx512bf16", "neon" };
    struct team *team = team_new(3, NULL);
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        struct compute c = { .team = team, .k = kernels_choose(names[v]), .bf16 = true };
        if (c.k)
            variant(&c, names[v]);
    }
    team_free(team);
    ok(!gemm_bf16_sums(100, 3, 3 * 1024, 1024) && !gemm_bf16_sums(2000, 2, 4096, 640) &&
       gemm_bf16_sums(100, 1, 1 << 20, 640),
       "too much for one sum is refused, one weight never is");
    return done();
}
