/* tests/bench/gemm_bench.c - our bfloat16 products beside oneDNN's, in turns, at the shapes of training
 *
 * Built by tests/bench/run when oneDNN is installed.  oneDNN gets its weights in
 * the order it asks for, made beforehand, as ours are; activations are bfloat16
 * row-major for both, results float32.  Usage: gemm_bench [threads [substring]] */
#include "kernels/linalg/gemm.h"
#include "kernels/linalg/pack.h"
#include "kernels/linalg/pages.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define CHECK(x) \
    do { \
        if ((x) != dnnl_success) { \
            fprintf(stderr, "gemm_bench: oneDNN refuses: %s\n", #x); \
            exit(1); \
        } \
    } while (0)

struct dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t prim;
    dnnl_memory_t src, weights, dst;
};

/* dst[m,n] f32 = src[m,k] weights[k,n]; strides of the plain operands as given. */
static void dnnl_make(struct dnnl *d, long m, long n, long k, const long src_stride[2], bool reorder,
                      const long w_stride[2], void *src, void *w, float *dst)
{
    dnnl_dims_t sd = {m, k}, wd = {k, n}, dd = {m, n}, ds = {n, 1};
    dnnl_memory_desc_t sm, wm, wany, dm;
    CHECK(dnnl_memory_desc_init_by_strides(&sm, 2, sd, dnnl_bf16, src_stride));
    CHECK(dnnl_memory_desc_init_by_strides(&wm, 2, wd, dnnl_bf16, w_stride));
    CHECK(dnnl_memory_desc_init_by_tag(&wany, 2, wd, dnnl_bf16, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_strides(&dm, 2, dd, dnnl_f32, ds));
    dnnl_matmul_desc_t md;
    CHECK(dnnl_matmul_desc_init(&md, &sm, reorder ? &wany : &wm, NULL, &dm));
    dnnl_primitive_desc_t pd;
    CHECK(dnnl_primitive_desc_create(&pd, &md, NULL, d->engine, NULL));
    CHECK(dnnl_primitive_create(&d->prim, pd));
    CHECK(dnnl_memory_create(&d->src, &sm, d->engine, src));
    CHECK(dnnl_memory_create(&d->dst, &dm, d->engine, dst));
    dnnl_memory_t plain;
    CHECK(dnnl_memory_create(&plain, &wm, d->engine, w));
    d->weights = plain;
    if (reorder) {
        const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        CHECK(dnnl_memory_create(&d->weights, want, d->engine, DNNL_MEMORY_ALLOCATE));
        dnnl_primitive_desc_t rpd;
        dnnl_primitive_t r;
        CHECK(dnnl_reorder_primitive_desc_create(&rpd, &wm, d->engine, want, d->engine, NULL));
        CHECK(dnnl_primitive_create(&r, rpd));
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, d->weights}};
        CHECK(dnnl_primitive_execute(r, d->stream, 2, args));
        dnnl_stream_wait(d->stream);
        dnnl_primitive_destroy(r);
        dnnl_primitive_desc_destroy(rpd);
        dnnl_memory_destroy(plain);
    }
    dnnl_primitive_desc_destroy(pd);
}

static void dnnl_run(struct dnnl *d)
{
    dnnl_exec_arg_t args[3] = {{DNNL_ARG_SRC, d->src}, {DNNL_ARG_WEIGHTS, d->weights}, {DNNL_ARG_DST, d->dst}};
    CHECK(dnnl_primitive_execute(d->prim, d->stream, 3, args));
    dnnl_stream_wait(d->stream);
}

static void dnnl_drop(struct dnnl *d)
{
    dnnl_primitive_destroy(d->prim);
    dnnl_memory_destroy(d->src);
    dnnl_memory_destroy(d->weights);
    dnnl_memory_destroy(d->dst);
}

enum kind { FORWARD, BACKWARD, WEIGHT };

static double worst = 1e9;

static void shape_bench(struct compute *k, struct dnnl *d, enum kind kind, size_t m, size_t n, size_t kk, bool f32)
{
    static const char *names[] = {"y", "dx", "dw"};
    size_t in = kind == BACKWARD ? n : kk, out = kind == BACKWARD ? kk : n;
    size_t xs = m * in, ws = n * kk, ys = kind == WEIGHT ? n * kk : m * out, gs = m * n;
    uint16_t *x = pages_new(xs * 2), *w = pages_new(ws * 2), *g = kind == WEIGHT ? pages_new(gs * 2) : NULL;
    float *wf = kind == WEIGHT ? NULL : pages_new(ws * 4), *y = pages_new(ys * 4), *z = pages_new(ys * 4);
    float *xf = f32 ? pages_new(xs * 4) : NULL, *gf = f32 && g ? pages_new(gs * 4) : NULL;
    for (size_t i = 0; i < xs; i++)
        x[i] = bf16_of((float)((i * 7919) % 2003) / 1000.0f - 1);
    for (size_t i = 0; xf && i < xs; i++)
        xf[i] = bf16_float(x[i]);
    for (size_t i = 0; g && i < gs; i++)
        g[i] = bf16_of((float)((i * 104729) % 1009) / 500.0f - 1);
    for (size_t i = 0; gf && i < gs; i++)
        gf[i] = bf16_float(g[i]);
    for (size_t i = 0; wf && i < ws; i++)
        w[i] = bf16_of(wf[i] = bf16_float(bf16_of((float)((i * 31337) % 1999) / 1000.0f - 1)));
    struct packed *p = NULL;
    if (kind == WEIGHT) {
        dnnl_make(d, (long)n, (long)kk, (long)m, (long[]){1, (long)n}, false, (long[]){(long)kk, 1}, g, x, z);
    } else {
        p = packed_new(n, kk);
        packed_set(k, p, wf, kk);
        long fw[2] = {1, (long)kk}, bw[2] = {(long)kk, 1};
        dnnl_make(d, (long)m, (long)out, (long)in, (long[]){(long)in, 1}, true, kind == FORWARD ? fw : bw, x, w, z);
    }
    struct gemm_in xi = {.f32 = xf, .bf16 = f32 ? NULL : x, .ld = in}, gi = {.f32 = gf, .bf16 = f32 ? NULL : g, .ld = n};
    double ours = 1e9, theirs = 1e9, flops = 2.0 * (double)m * (double)n * (double)kk, start = now();
    for (int round = 0; round < 40 && (round < 4 || now() - start < 1.5); round++) {
        double t = now();
        if (kind == WEIGHT)
            gemm_bf16_dw(k, m, n, kk, gi, xi, false, y, kk, NULL);
        else
            gemm_bf16(k, m, xi, p, kind == BACKWARD, &(struct gemm_out){.f32 = y, .ld = out});
        double t1 = now() - t;
        t = now();
        dnnl_run(d);
        double t2 = now() - t;
        ours = t1 < ours ? t1 : ours;
        theirs = t2 < theirs ? t2 : theirs;
    }
    double err = 0, size = 0;
    for (size_t i = 0; i < ys; i++) {
        double e = (double)y[i] - (double)z[i];
        if (!(e * e <= err))
            err = e * e;
        size = (double)z[i] * (double)z[i] > size ? (double)z[i] * (double)z[i] : size;
    }
    double ratio = theirs / ours;
    worst = ratio < worst ? ratio : worst;
    printf("%-3s %6zu x %6zu x %6zu  %s ours %7.1f  oneDNN %7.1f GFLOP/s  ratio %.2f%s\n", names[kind], m, n, kk,
           f32 ? "f32" : "b16", flops / ours * 1e-9, flops / theirs * 1e-9, ratio, err <= 1e-6 * size ? "" : "  DIFFERS");
    fflush(stdout);
    dnnl_drop(d);
    packed_free(p);
    pages_free(x, xs * 2), pages_free(w, ws * 2), pages_free(g, gs * 2), pages_free(wf, ws * 4);
    pages_free(y, ys * 4), pages_free(z, ys * 4), pages_free(xf, xs * 4), pages_free(gf, gs * 4);
}

int main(int argc, char **argv)
{
    static const size_t shapes[][3] = {
        {12000, 384, 384}, {12000, 1536, 384}, {12000, 384, 1536}, {6000, 512, 512}, {6000, 2048, 512},
        {6000, 512, 2048}, {6000, 768, 768}, {6000, 3072, 768}, {6000, 768, 3072}, {256, 384, 384},
        {512, 1536, 384}, {256, 768, 768}, {256, 51865, 384}, {256, 51865, 768},
        {400, 1024, 640}, {400, 256, 640}, {400, 640, 1024}, {400, 2048, 640}, {400, 640, 2048}, {1600, 2048, 640},
        {100, 262144, 640}, {256, 262144, 640}, {400, 6912, 1152}, {400, 1152, 6912}, {1600, 6912, 1152}};
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *only = argc > 2 ? argv[2] : "";
    bool f32 = argc > 3;
    struct compute k = {.team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")), .bf16 = true};
    if (!k.team || !k.k)
        return 1;
    struct dnnl d = {0};
    CHECK(dnnl_engine_create(&d.engine, dnnl_cpu, 0));
    CHECK(dnnl_stream_create(&d.stream, d.engine, dnnl_stream_default_flags));
    printf("# %s, %d threads; y = x w^T, dx = dy w, dw = dy^T x, as tokens x n x k\n", kernels_name(k.k), threads);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (enum kind kind = FORWARD; kind <= WEIGHT; kind++) {
            char name[64];
            snprintf(name, sizeof name, "%d:%zux%zux%zu", kind, shapes[s][0], shapes[s][1], shapes[s][2]);
            if (strstr(name, only))
                shape_bench(&k, &d, kind, shapes[s][0], shapes[s][1], shapes[s][2], f32);
        }
    printf("# worst ratio %.2f\n", worst);
    team_free(k.team);
    return 0;
}
