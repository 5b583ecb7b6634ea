/* tests/bench/gemm_bench.c - our bfloat16 products beside oneDNN's, in turns, at the shapes of training
 *
 * Built by tests/bench/run when oneDNN is installed.  oneDNN gets its weights in
 * the order it asks for, made beforehand, as ours are; activations are bfloat16
 * row-major for both, results float32.  Usage: gemm_bench [threads [which [types]]]
 *   which   MxNxK, any one shape; or a part of "kind:MxNxK" of the shapes below (kinds 0 y, 1 dx, 2 dw)
 *   types   wide: our activations are float32;  narrow: y and dx of both are bfloat16
 * Lines below the goal are marked; the table of ratios and the lowest of each kind come last. */
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/pages.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* dst[m,n] = src[m,k] weights[k,n]; strides of the plain operands as given. */
static void dnnl_make(struct dnnl *d, long m, long n, long k, const long src_stride[2], bool reorder,
                      const long w_stride[2], void *src, void *w, void *dst, dnnl_data_type_t result)
{
    dnnl_dims_t sd = {m, k}, wd = {k, n}, dd = {m, n}, ds = {n, 1};
    dnnl_dims_t ss = {src_stride[0], src_stride[1]}, ws = {w_stride[0], w_stride[1]};
    dnnl_memory_desc_t sm, wm, wany, dm;
    CHECK(dnnl_memory_desc_init_by_strides(&sm, 2, sd, dnnl_bf16, ss));
    CHECK(dnnl_memory_desc_init_by_strides(&wm, 2, wd, dnnl_bf16, ws));
    CHECK(dnnl_memory_desc_init_by_tag(&wany, 2, wd, dnnl_bf16, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_strides(&dm, 2, dd, result, ds));
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

/* Is y what oneDNN has in z?  Squares of differences, beside those of values. */
static bool alike(const void *y, const void *z, size_t n, bool narrow)
{
    double err = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)(narrow ? bf16_float(((const uint16_t *)y)[i]) : ((const float *)y)[i]);
        double b = (double)(narrow ? bf16_float(((const uint16_t *)z)[i]) : ((const float *)z)[i]), e = (a - b) * (a - b);
        if (!(e <= err))
            err = e;
        size = b * b > size ? b * b : size;
    }
    return err <= (narrow ? 1e-4 : 1e-6) * size;
}

enum kind { FORWARD, BACKWARD, WEIGHT };

#define GOAL 0.95

/* Times that this process had to leave a processor to another: calls in which it did do not count. */
static long preemptions(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_nivcsw;
}

static int least_of(const int n[2])
{
    return n[0] < n[1] ? n[0] : n[1];
}

static bool more(int round, int clean, double seconds)
{
    return round < 4 || seconds < (round < 40 ? 1.5 : 0.2) || (clean < 8 && seconds < 6);
}

/* theirs / ours in time */
static double shape_bench(struct compute *k, struct dnnl *d, enum kind kind, size_t m, size_t n, size_t kk,
                          bool wide, bool narrow)
{
    static const char *names[] = {"y", "dx", "dw"};
    size_t in = kind == BACKWARD ? n : kk, out = kind == BACKWARD ? kk : n;
    size_t xs = m * in, ws = n * kk, ys = kind == WEIGHT ? n * kk : m * out, gs = m * n;
    uint16_t *x = pages_new(xs * 2), *w = pages_new(ws * 2), *g = kind == WEIGHT ? pages_new(gs * 2) : NULL;
    float *wf = kind == WEIGHT ? NULL : pages_new(ws * 4), *y = pages_new(ys * 4), *z = pages_new(ys * 4);
    float *xf = wide ? pages_new(xs * 4) : NULL, *gf = wide && g ? pages_new(gs * 4) : NULL;
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
        dnnl_make(d, (long)n, (long)kk, (long)m, (long[]){1, (long)n}, false, (long[]){(long)kk, 1}, g, x, z, dnnl_f32);
    } else {
        p = packed_new(n, kk);
        packed_set(k, p, wf, kk);
        long fw[2] = {1, (long)kk}, bw[2] = {(long)kk, 1};
        dnnl_make(d, (long)m, (long)out, (long)in, (long[]){(long)in, 1}, true, kind == FORWARD ? fw : bw, x, w, z,
                  narrow ? dnnl_bf16 : dnnl_f32);
    }
    struct gemm_out to = {.f32 = narrow ? NULL : y, .bf16 = narrow ? (uint16_t *)(void *)y : NULL, .ld = out};
    struct gemm_in xi = {.f32 = xf, .bf16 = wide ? NULL : x, .ld = in}, gi = {.f32 = gf, .bf16 = wide ? NULL : g, .ld = n};
    double best[2][2] = {{1e9, 1e9}, {1e9, 1e9}}, flops = 2.0 * (double)m * (double)n * (double)kk, start = now();
    int clean[2] = {0};
    for (int round = 0; more(round, least_of(clean), now() - start); round++)
        for (int side = 0; side < 2; side++) {
            nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);     /* the other's threads are asleep then */
            long pushed = preemptions();
            double t = now();
            if (side)
                dnnl_run(d);
            else if (kind == WEIGHT)
                gemm_bf16_dw(k, m, xi, kk, &(struct gemm_dw){.dy = gi, .n = n, .dw = y, .ld = kk}, 1);
            else
                gemm_bf16(k, m, xi, p, kind == BACKWARD, &to);
            t = now() - t;
            bool alone = preemptions() == pushed;
            clean[side] += alone;
            best[side][alone] = t < best[side][alone] ? t : best[side][alone];
        }
    bool alone = least_of(clean) > 0;
    double ours = best[0][alone], theirs = best[1][alone];
    double ratio = theirs / ours;
    narrow = narrow && kind != WEIGHT;
    printf("%-3s %6zu x %6zu x %6zu  %s-%s ours %7.1f  oneDNN %7.1f GFLOP/s  ratio %.3f%s%s%s\n", names[kind], m, n, kk,
           wide ? "f32" : "b16", narrow ? "b16" : "f32", flops / ours * 1e-9, flops / theirs * 1e-9, ratio,
                ratio >= GOAL ? "" : "  <-- BELOW", alone ? "" : "  (never alone)",
           alike(y, z, ys, narrow) ? "" : "  DIFFERS");
    fflush(stdout);
    dnnl_drop(d);
    packed_free(p);
    pages_free(x, xs * 2), pages_free(w, ws * 2), pages_free(g, gs * 2), pages_free(wf, ws * 4);
    pages_free(y, ys * 4), pages_free(z, ys * 4), pages_free(xf, xs * 4), pages_free(gf, gs * 4);
    return ratio;
}

enum { SHAPES = 25, KINDS = 3 };

static void table_print(size_t shapes[SHAPES][3], double ratio[SHAPES][KINDS])
{
    double low[KINDS] = {1e9, 1e9, 1e9};
    printf("\n| shape | y | dx | dW |\n|---|---|---|---|\n");
    for (size_t s = 0; s < SHAPES; s++) {
        if (ratio[s][FORWARD] + ratio[s][BACKWARD] + ratio[s][WEIGHT] <= 0)
            continue;
        printf("| %zu x %zu x %zu |", shapes[s][0], shapes[s][1], shapes[s][2]);
        for (size_t kind = 0; kind < KINDS; kind++) {
            double r = ratio[s][kind];
            if (r > 0)
                printf(" %.2f%s |", r, r >= GOAL ? "" : " *");
            else
                printf(" |");
            low[kind] = r > 0 && r < low[kind] ? r : low[kind];
        }
        printf("\n");
    }
    printf("| lowest |");
    for (size_t kind = 0; kind < KINDS; kind++)
        low[kind] < 1e9 ? printf(" %.3f%s |", low[kind], low[kind] >= GOAL ? "" : " *") : printf(" |");
    printf("\n");
}

int main(int argc, char **argv)
{
    static size_t shapes[SHAPES][3] = {
        {12000, 384, 384}, {12000, 1536, 384}, {12000, 384, 1536}, {6000, 512, 512}, {6000, 2048, 512},
        {6000, 512, 2048}, {6000, 768, 768}, {6000, 3072, 768}, {6000, 768, 3072}, {256, 384, 384},
        {512, 1536, 384}, {256, 768, 768}, {256, 51865, 384}, {256, 51865, 768},
        {400, 1024, 640}, {400, 256, 640}, {400, 640, 1024}, {400, 2048, 640}, {400, 640, 2048}, {1600, 2048, 640},
        {100, 262144, 640}, {256, 262144, 640}, {400, 6912, 1152}, {400, 1152, 6912}, {1600, 6912, 1152}};
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *only = argc > 2 ? argv[2] : "";
    bool wide = argc > 3 && !strcmp(argv[3], "wide"), narrow = argc > 3 && !strcmp(argv[3], "narrow");
    size_t one[3], count = SHAPES;
    if (sscanf(only, "%zux%zux%zu", one, one + 1, one + 2) == 3) {
        memcpy(shapes[0], one, sizeof one);
        only = "", count = 1;
    }
    struct compute k = {.team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")), .bf16 = true};
    if (!k.team || !k.k)
        return 1;
    struct dnnl d = {0};
    CHECK(dnnl_engine_create(&d.engine, dnnl_cpu, 0));
    CHECK(dnnl_stream_create(&d.stream, d.engine, dnnl_stream_default_flags));
    printf("# %s, %d threads; y = x w^T, dx = dy w, dw = dy^T x, as tokens x n x k\n", kernels_name(k.k), threads);
    static double ratio[SHAPES][KINDS];
    for (size_t s = 0; s < count; s++)
        for (enum kind kind = FORWARD; kind <= WEIGHT; kind++) {
            char name[64];
            snprintf(name, sizeof name, "%d:%zux%zux%zu", kind, shapes[s][0], shapes[s][1], shapes[s][2]);
            if (strstr(name, only))
                ratio[s][kind] = shape_bench(&k, &d, kind, shapes[s][0], shapes[s][1], shapes[s][2], wide, narrow);
        }
    table_print(shapes, ratio);
    team_free(k.team);
    return 0;
}
