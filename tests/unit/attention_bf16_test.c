/* tests/unit/attention_bf16_test.c - attention in bfloat16 against the same in float32, forward and gradients */
#include "kernels/nn/random.h"
#include "kernels/nn/tape/record.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

struct run {
    struct attention a;
    size_t t_q, t_k, d;
    float *q, *k, *v, *weight;  /* weight: the gradient that comes back */
    float *out[4];              /* result, and gradients of q, k, v */
};

static void attend_run(struct tape *t, void *ctx)
{
    struct run *r = ctx;
    struct tensor *x[3] = { tape_input(t, r->q, r->t_q, r->a.heads * r->d),
                            tape_input(t, r->k, r->t_k, r->a.kv_heads * r->d),
                            tape_input(t, r->v, r->t_k, r->a.kv_heads * r->d) };
    for (int i = 0; i < 3; i++)
        x[i]->needs_grad = true;
    struct tensor *y = tape_attention(t, x[0], x[1], x[2], &r->a);
    float beta;
    tensor_grad(t, y, &beta);
    float *wide = tensor_wide(t, y);
    if (!t->dry && !t->failed) {
        memcpy(r->out[0], wide, tensor_count(y) * sizeof(float));
        memcpy(y->grad, r->weight, tensor_count(y) * sizeof(float));
    }
    tensor_wide_give(t, y, wide);
    tape_backward(t);
    for (int i = 0; i < 3 && !t->dry && !t->failed; i++)
        memcpy(r->out[i + 1], x[i]->grad, tensor_count(x[i]) * sizeof(float));
}

static float *random_new(uint64_t key, size_t n, float size)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = size * (2 * random_uniform(key, i) - 1);
    return x;
}

/* The root of the mean square difference, over that of the values. */
static double distance(const float *got, const float *want, size_t n)
{
    double d = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        size += (double)want[i] * (double)want[i];
    }
    return sqrt(d / size);
}

/* Scores that rise: all keys but the first 64 get a feature of this size, which queries see. */
static void rise(struct run *r, float size)
{
    for (size_t i = 0; i < r->t_q * r->a.heads; i++)
        r->q[i * r->d] = 8;
    for (size_t i = 0; i < r->t_k * r->a.kv_heads; i++)
        r->k[i * r->d] = i < 64 * r->a.kv_heads ? 0 : size;
}

static void compare_risen(const struct compute *bf16, const char *name, struct attention a, size_t t_q, size_t t_k,
                          size_t d, float risen)
{
    static const char *const parts[] = { "result", "gradient of q", "gradient of k", "gradient of v" };
    size_t n_q = t_q * a.heads * d, n_k = t_k * a.kv_heads * d, size[4] = { n_q, n_q, n_k, n_k };
    struct run r = { .a = a, .t_q = t_q, .t_k = t_k, .d = d, .q = random_new(1, n_q, 2), .k = random_new(2, n_k, 2),
                     .v = random_new(3, n_k, 1), .weight = random_new(4, n_q, 1) };
    if (risen > 0)
        rise(&r, risen);
    float *want[4], *got[4];
    struct compute f32 = *bf16;
    f32.bf16 = false;
    for (int pass = 0; pass < 2; pass++) {
        struct tape *t = tape_new(pass ? bf16 : &f32);
        char why[WHY] = "";
        for (int i = 0; i < 4; i++)
            r.out[i] = (pass ? got : want)[i] = calloc(size[i] + 1, sizeof(float));
        t->poison = true;
        if (tape_run(t, TAPE_TRAIN, 1, attend_run, &r, why))
            ok(false, "%s runs: %s", name, why);
        tape_free(t);
    }
    for (int i = 0; i < 4; i++) {
        double e = distance(got[i], want[i], size[i]);
        if (!(risen > 0 && i == 1))             /* of that feature q's gradient is what rounding leaves of 0 */
            ok(e <= 8e-3, "%s, %s: %s, %zu features: distance %.1e (limit 8e-3)", kernels_name(bf16->k), name,
               parts[i], d, e);
        free(got[i]), free(want[i]);
    }
    free(r.q), free(r.k), free(r.v), free(r.weight);
}

static void compare(const struct compute *bf16, const char *name, struct attention a, size_t t_q, size_t t_k,
                    size_t d)
{
    compare_risen(bf16, name, a, t_q, t_k, d, 0);
}

/* Four ragged rows of one key-value head: tasks share its query heads, and their sums are added up. */
static void same_bits(const struct kernels *kernels)
{
    enum { T = 230, D = 64, Q = T * 4 * D, K = T * D };
    static const struct attended rows[] = {{0, 30, 0, 30}, {30, 101, 30, 101}, {131, 8, 131, 8}, {139, 91, 139, 91}};
    static const size_t size[4] = { Q, Q, K, K };
    struct run r = { .a = { .heads = 4, .kv_heads = 1, .scale = 0.125f, .causal = true, .segment = rows, .n = 4 },
                     .t_q = T, .t_k = T, .d = D,
                     .q = random_new(1, Q, 2), .k = random_new(2, K, 2), .v = random_new(3, K, 1),
                         .weight = random_new(4, Q, 1) };
    float *first = calloc(2 * (Q + K), sizeof *first), *again = calloc(2 * (Q + K), sizeof *again);
    bool good = true;
    for (int threads = 1; threads <= 5; threads += 2) {
        struct compute c = { .team = team_new(threads, NULL), .k = kernels, .bf16 = true };
        struct tape *t = tape_new(&c);
        char why[WHY] = "";
        r.out[0] = threads == 1 ? first : again;
        for (int i = 1; i < 4; i++)
            r.out[i] = r.out[i - 1] + size[i - 1];
        good = !tape_run(t, TAPE_TRAIN, 1, attend_run, &r, why) && good;
        good = good && (threads == 1 || memcmp(first, again, 2 * (Q + K) * sizeof *first) == 0);
        tape_free(t);
        team_free(c.team);
    }
    ok(good, "%s: the same bits from 1, 3 and 5 threads", kernels_name(kernels));
    free(r.q), free(r.k), free(r.v), free(r.weight), free(first), free(again);
}

int main(void)
{
    static const struct attended one[] = {{0, 1500, 0, 1500}},
                                 ragged[] = {{0, 100, 0, 100}, {100, 7, 100, 7}, {107, 73, 107, 73}};
    static const struct attended crossing[] = {{0, 40, 0, 333}, {40, 64, 333, 101}}, cached[] = {{0, 33, 0, 150}},
                                 far[] = {{0, 90, 0, 4500}};
    static const char *const names[] = { "ref", "avx2", "avx512", "avx512bf16", "neon" };
    struct team *team = team_new(2, NULL);
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        struct compute c = { .team = team, .k = kernels_choose(names[v]), .bf16 = true };
        if (!c.k)
            continue;
        if (v >= 3)
            compare(&c, "all of 1500", (struct attention){ .heads = 2, .kv_heads = 2, .scale = 0.125f, .segment = one,
                                                           .n = 1 }, 1500, 1500, 64);
        compare(&c, "causal rows", (struct attention){ .heads = 4, .kv_heads = 2, .scale = 0.125f, .causal = true,
                                                       .segment = ragged, .n = 3 }, 180, 180, 64);
        compare(&c, "a window", (struct attention){ .heads = 4, .kv_heads = 1, .scale = 0.0625f, .causal = true,
                                                    .window = 20, .segment = ragged, .n = 3 }, 180, 180, 256);
        compare(&c, "cross attention", (struct attention){ .heads = 3, .kv_heads = 3, .scale = 0.3f,
                                                           .segment = crossing, .n = 2 }, 104, 434, 16);
        compare(&c, "behind a cache", (struct attention){ .heads = 2, .kv_heads = 1, .scale = 0.2f, .causal = true,
                                                          .segment = cached, .n = 1 }, 33, 150, 70);
        compare(&c, "a window behind a cache",
                (struct attention){ .heads = 2, .kv_heads = 1, .scale = 0.2f, .causal = true, .window = 50,
                                    .segment = cached, .n = 1 }, 33, 150, 32);
        compare(&c, "more keys than at once",
                (struct attention){ .heads = 1, .kv_heads = 1, .scale = 0.2f, .segment = far, .n = 1 }, 90, 4500, 34);
        compare_risen(&c, "scores that rise after 64 keys",
                      (struct attention){ .heads = 2, .kv_heads = 1, .scale = 0.2f, .segment = crossing, .n = 2 },
                      104, 434, 34, 64);
        same_bits(c.k);
    }
    team_free(team);
    return done();
}
