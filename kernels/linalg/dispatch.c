/* kernels/linalg/dispatch.c - the tables, and the choice among them */
#include "kernels/linalg/dispatch.h"

#include "kernels/dsp/mel_block.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/scores/scores.h"
#include "kernels/linalg/vec/vec.h"

#include <string.h>

static const struct kernels table_ref = {
    .name = "ref",
    .gemm_f32_tile = gemm_f32_tile_ref,
    .mel = &mel_kernel_ref,
    .gemm_bf16_tile = gemm_bf16_tile_ref,
    .pack = &pack_ref,
    .vec = &vec_ref,
    .scores = &scores_plain,
};

#if defined(__x86_64__)
static const struct kernels table_avx2 = {
    .name = "avx2",
    .gemm_f32_tile = gemm_f32_tile_cblas,
    .mel = &mel_kernel_avx2,
    .gemm_bf16_tile = gemm_bf16_tile_avx2,
    .pack = &pack_ref,
    .vec = &vec_avx2,
    .scores = &scores_plain,
};
static const struct kernels table_avx512 = {
    .name = "avx512",
    .gemm_f32_tile = gemm_f32_tile_cblas,
    .mel = &mel_kernel_avx512,
    .gemm_bf16_tile = gemm_bf16_tile_avx512,
    .pack = &pack_ref,
    .vec = &vec_avx512,
    .scores = &scores_plain,
};
static const struct kernels table_avx512bf16 = {
    .name = "avx512bf16",
    .gemm_f32_tile = gemm_f32_tile_cblas,
    .mel = &mel_kernel_avx512,
    .gemm_bf16_tile = gemm_bf16_tile_avx512bf16,
    .pack = &pack_avx512bf16,
    .vec = &vec_avx512bf16,
    .scores = &scores_avx512bf16,
};
#elif defined(__aarch64__)
static const struct kernels table_neon = {
    .name = "neon",
    .gemm_f32_tile = gemm_f32_tile_cblas,
    .mel = &mel_kernel_ref,
    .gemm_bf16_tile = gemm_bf16_tile_neon,
    .pack = &pack_ref,
    .vec = &vec_ref,
    .scores = &scores_plain,
};
#endif

/* Best first.  __builtin_cpu_supports also asks whether the system saves the registers. */
static size_t tables_here(const struct kernels *list[4])
{
    size_t n = 0;
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx512 && __builtin_cpu_supports("avx512bf16"))
        list[n++] = &table_avx512bf16;
    if (avx512)
        list[n++] = &table_avx512;
    if (avx2)
        list[n++] = &table_avx2;
#elif defined(__aarch64__)
    list[n++] = &table_neon;
#endif
    list[n++] = &table_ref;
    return n;
}

const struct kernels *kernels_choose(const char *cap)
{
    const struct kernels *list[4];
    size_t n = tables_here(list);
    for (size_t i = 0; i < n; i++)
        if (!cap || !*cap || strcmp(cap, list[i]->name) == 0)
            return list[i];
    return NULL;
}

const char *kernels_name(const struct kernels *k)
{
    return k->name;
}
