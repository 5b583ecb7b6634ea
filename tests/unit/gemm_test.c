/* tests/unit/gemm_test.c - float32 products against a sum in double, for all variants and thread counts */
#include "kernels/linalg/gemm/gemm.h"
#include "tests/unit/noise.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

/* One shape with rows longer than needed; the gap in c must stay. */
static bool right(const struct compute *k, bool ta, bool tb, size_t m, size_t n, size_t kk, float beta)
{
    size_t lda = (ta ? m : kk) + 3, ldb = (tb ? kk : n) + 1, ldc = n + 2;
    float *a = noise_new((ta ? kk : m) * lda), *b = noise_new((tb ? n : kk) * ldb), *c = noise_new(m * ldc);
    float *want = malloc(m * ldc * sizeof *want + 1);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc; j++) {
            double sum = j < n && beta == 0 ? 0 : c[i * ldc + j];
            for (size_t p = 0; j < n && p < kk; p++)
                sum += (double)(ta ? a[p * lda + i] : a[i * lda + p]) * (double)(tb ? b[j * ldb + p] : b[p * ldb + j]);
            want[i * ldc + j] = (float)sum;
            if (j < n && beta == 0)
                c[i * ldc + j] = NAN;
        }
    gemm_f32(k, ta, tb, m, n, kk, a, lda, b, ldb, beta, c, ldc);
    size_t at;
    double e = scaled_error(c, want, m * ldc, &at);
    bool good = e <= 2e-6;
    if (!good)
        printf("# ta %d tb %d m %zu n %zu k %zu beta %g: error %g at %zu\n", ta, tb, m, n, kk, (double)beta, e, at);
    free(a), free(b), free(c), free(want);
    return good;
}

static void same_bits(const struct kernels *k, size_t m, size_t n, size_t kk)
{
    float *a = noise_new(m * kk), *b = noise_new(n * kk), *first = calloc(m * n, 4), *c = calloc(m * n, 4);
    bool good = true;
    for (int threads = 1; threads <= 7; threads += 2) {
        struct compute with = {.team = team_new(threads, NULL), .k = k};
        gemm_f32(&with, false, true, m, n, kk, a, kk, b, kk, 0, threads == 1 ? first : c, n);
        good = good && (threads == 1 || memcmp(first, c, m * n * 4) == 0);
        team_free(with.team);
    }
    ok(good, "%s: the same bits from 1, 3, 5 and 7 threads, %zux%zux%zu", kernels_name(k), m, n, kk);
    free(a), free(b), free(first), free(c);
}

int main(void)
{
    static const char *names[] = {"ref", "avx2", "avx512", "avx512bf16", "neon"};
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 17, 33}, {5, 1, 64},  {16, 16, 16},  {3, 70, 9},
                                      {130, 65, 1}, {1, 900, 900}, {40, 300, 257}, {65, 8, 300}, {300, 310, 8},
                                      {0, 4, 4},    {4, 4, 0}};
    struct team *team = team_new(3, NULL);
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        struct compute k = {.team = team, .k = kernels_choose(names[v])};
        if (!k.k)
            continue;
        bool good = true;
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int t = 0; t < 8; t++)
                good = right(&k, t & 1, t & 2, sizes[s][0], sizes[s][1], sizes[s][2], t & 4 ? 1.0f : 0.0f) && good;
        ok(good, "%s: products of all shapes, transposed or not, added or over NaN", names[v]);
        same_bits(k.k, 1, 5000, 600);
        same_bits(k.k, 700, 330, 120);
    }
    team_free(team);
    return done();
}
