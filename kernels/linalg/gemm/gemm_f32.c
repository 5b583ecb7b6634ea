/* kernels/linalg/gemm/gemm_f32.c - float32 products: tiles for the team, each by CBLAS or by plain loops */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"

#ifdef __APPLE__
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#endif

struct job {
    const struct kernels *k;
    bool ta, tb;
    size_t m, n, kk, lda, ldb, ldc;
    size_t tile_m, tile_n, across;      /* across: tiles in a row of tiles */
    const float *a, *b;
    float beta, *c;
};

/* Halves the longer side until there are tiles for many threads, or until a
 * tile is too little work to hand out (2 Mi multiplications, some 40
 * microseconds) or so narrow that packing its operands outweighs them. */
static void tiles_choose(struct job *j)
{
    const double least = 2097152.0;
    const size_t most = 64, narrow = 64;
    size_t tm = j->m, tn = j->n;
    for (size_t tiles = 1; tiles < most; tiles *= 2) {
        size_t *side = tm > tn ? &tm : &tn;
        if (*side <= narrow || (double)tm * (double)tn * (double)j->kk < 2 * least)
            break;
        *side = ((*side + 1) / 2 + 15) / 16 * 16;
    }
    j->tile_m = tm;
    j->tile_n = tn;
    j->across = (j->n + tn - 1) / tn;
}

static void tile_run(void *ctx, size_t i, int worker)
{
    const struct job *j = ctx;
    (void)worker;
    size_t row = i / j->across * j->tile_m, col = i % j->across * j->tile_n;
    size_t m = j->m - row < j->tile_m ? j->m - row : j->tile_m;
    size_t n = j->n - col < j->tile_n ? j->n - col : j->tile_n;
    j->k->gemm_f32_tile(j->ta, j->tb, m, n, j->kk, j->a + (j->ta ? row : row * j->lda), j->lda,
                        j->b + (j->tb ? col * j->ldb : col), j->ldb, j->beta, j->c + row * j->ldc + col, j->ldc);
}

void gemm_f32(const struct compute *k, bool ta, bool tb, size_t m, size_t n, size_t kk,
              const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    if (!m || !n)
        return;
    struct job j = {.k = k->k, .ta = ta, .tb = tb, .m = m, .n = n, .kk = kk, .lda = lda, .ldb = ldb, .ldc = ldc,
                    .a = a, .b = b, .beta = beta, .c = c};
    tiles_choose(&j);
    team_run(k->team, (m + j.tile_m - 1) / j.tile_m * j.across, tile_run, &j);
}

/* Sums run over k in ascending order, one element at a time. */
void gemm_f32_tile_ref(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                       const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
        if (beta == 0)
            for (size_t j = 0; j < n; j++)
                row[j] = 0;
        if (tb) {
            for (size_t j = 0; j < n; j++) {
                float sum = 0;
                for (size_t p = 0; p < k; p++)
                    sum += (ta ? a[p * lda + i] : a[i * lda + p]) * b[j * ldb + p];
                row[j] += sum;
            }
            continue;
        }
        for (size_t p = 0; p < k; p++) {
            float x = ta ? a[p * lda + i] : a[i * lda + p];
            const float *from = b + p * ldb;
            for (size_t j = 0; j < n; j++)
                row[j] += x * from[j];
        }
    }
}

void gemm_f32_tile_cblas(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda,
                         const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    if (!k) {                           /* not all libraries clear c then */
        for (size_t i = 0; beta == 0 && i < m; i++)
            for (size_t j = 0; j < n; j++)
                c[i * ldc + j] = 0;
        return;
    }
    if (m == 1 && !ta)                  /* one row, as when decoding: bound by reading b once */
        cblas_sgemv(CblasRowMajor, tb ? CblasNoTrans : CblasTrans, (int)(tb ? n : k), (int)(tb ? k : n), 1.0f, b,
                    (int)ldb, a, 1, beta, c, 1);
    else
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n,
                    (int)k, 1.0f, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}
