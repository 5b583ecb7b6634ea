/* tests/unit/beside_test.c - linear layers that read one value share its gradient's sum and its layout: their gradients
 * beside those of the same layers each with a value of its own, and of float32 */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/nn/ops.h"
#include "tests/unit/noise.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

enum { T = 96, C = 48, V = 40, HEADS = 2 };
enum { TABLE, NORM, NORM_B, Q, Q_B, K, VALUE, V_B, OUT, OUT_B, NORM2, GATE, UP, DOWN, PARAMS };
static const size_t shapes[PARAMS][2] = { { V, C }, { C, 1 }, { C, 1 }, { C, C }, { C, 1 }, { C, C }, { C, C }, { C, 1 },
                                          { C, C }, { C, 1 }, { C, 1 }, { 2 * C, C }, { 2 * C, C }, { C, 2 * C } };

struct net {
    struct param p[PARAMS];
    int32_t ids[T];
    struct target target[T];
    bool apart;                 /* each layer reads a norm of its own */
    struct loss loss;
};

static struct tensor *normed(struct tape *t, struct net *n, struct tensor *x, struct tensor *shared, int w, int b)
{
    if (shared && !n->apart)
        return shared;
    return tape_layer_norm(t, x, n->p + w, b ? n->p + b : NULL, 1e-5f);
}

static void net_run(struct tape *t, void *ctx)
{
    static const struct attended all = { 0, T, 0, T };
    struct net *n = ctx;
    struct param *p = n->p;
    struct attention spec = { .heads = HEADS, .kv_heads = HEADS, .scale = 0.3f, .causal = true, .segment = &all, .n = 1 };
    struct tensor *x = tape_embedding(t, p + TABLE, n->ids, T, -1, 1), *h = normed(t, n, x, NULL, NORM, NORM_B);
    struct tensor *q = tape_linear(t, h, p + Q, p + Q_B);
    struct tensor *k = tape_linear(t, normed(t, n, x, h, NORM, NORM_B), p + K, NULL);
    struct tensor *v = tape_linear(t, normed(t, n, x, h, NORM, NORM_B), p + VALUE, p + V_B);
    x = tape_linear_add(t, x, tape_attention(t, q, k, v, &spec), p + OUT, p + OUT_B);
    h = normed(t, n, x, NULL, NORM2, 0);
    struct tensor *gate = tape_linear(t, h, p + GATE, NULL);
    struct tensor *up = tape_linear(t, normed(t, n, x, h, NORM2, 0), p + UP, NULL);
    x = tape_linear_add(t, x, tape_gelu_gated(t, gate, up), p + DOWN, NULL);
    tape_lm_loss(t, x, p + TABLE, 0, 0, n->target, T, &n->loss, NULL);
    tape_backward(t);
}

/* The same numbers each time. */
static void net_make(struct net *n, const bool *frozen)
{
    uint32_t state = 1;
    *n = (struct net){ .apart = false };
    for (size_t i = 0; i < PARAMS; i++) {
        struct param *p = n->p + i;
        *p = (struct param){ .name = (char[]){ "w" }, .rank = shapes[i][1] > 1 ? 2 : 1,
                             .shape = { shapes[i][0], shapes[i][1] },
                             .count = shapes[i][0] * shapes[i][1], .trained = !frozen || !frozen[i] };
        p->data = malloc(p->count * sizeof(float));
        p->grad = malloc(p->count * sizeof(float));
        for (size_t j = 0; j < p->count; j++) {
            state = state * 1664525u + 1013904223u;
            float value = (float)(state >> 8) / (float)(1 << 24) - 0.5f;
            p->data[j] = i == NORM || i == NORM2 ? 1 + value : i == TABLE ? 2 * value : value / 2;
        }
    }
    for (size_t i = 0; i < T; i++) {
        n->ids[i] = (int32_t)(i * 7 % V);
        n->target[i] = (struct target){ i, (int32_t)(i * 11 % V) };
    }
}

static void net_free(struct net *n)
{
    for (size_t i = 0; i < PARAMS; i++) {
        free(n->p[i].data);
        free(n->p[i].grad);
        packed_free(n->p[i].packed);
    }
}

static void net_train(struct net *n, const bool *frozen, int threads, bool narrow, bool apart)
{
    struct compute c = { .team = team_new(threads, NULL), .k = kernels_choose(NULL), .bf16 = narrow };
    struct tape *t = tape_new(&c);
    char why[WHY] = "";
    net_make(n, frozen);
    n->apart = apart;
    t->narrow = narrow;
    t->poison = true;
    if (tape_run(t, TAPE_TRAIN, 1, net_run, n, why) < 0)
        printf("Bail out! %s\n", why);
    tape_free(t);
    team_free(c.team);
}

/* The largest of the parameters' relative distances; that of one without gradient on either side is 0. */
static double distance(const struct net *a, const struct net *b)
{
    double most = 0;
    for (size_t i = 0; i < PARAMS; i++) {
        const struct param *p = a->p + i, *q = b->p + i;
        double apart = 0, size = 0;
        if (p->has_grad != q->has_grad)
            return INFINITY;
        for (size_t j = 0; p->has_grad && j < p->count; j++) {
            double d = (double)p->grad[j] - (double)q->grad[j];
            apart += d * d;
            size += (double)q->grad[j] * (double)q->grad[j];
        }
        double share = size > 0 ? sqrt(apart / size) : 0;
        if (!(share <= most))
            most = share;
    }
    return most;
}

static bool same(const struct net *a, const struct net *b)
{
    bool good = true;
    for (size_t i = 0; i < PARAMS; i++)
        good = good && (!a->p[i].has_grad || !memcmp(a->p[i].grad, b->p[i].grad, a->p[i].count * sizeof(float)));
    return good;
}

static void check(const char *name, const bool *frozen)
{
    struct net together, apart, wide, threads;
    net_train(&together, frozen, 1, true, false);
    net_train(&apart, frozen, 1, true, true);
    net_train(&wide, frozen, 1, false, false);
    net_train(&threads, frozen, 3, true, false);
    double to_apart = distance(&together, &apart), to_wide = distance(&together, &wide), usual = distance(&apart, &wide);
    ok(to_apart <= 0.01, "%s: as with a value each (%.4f)", name, to_apart);
    ok(to_wide <= 0.02 && to_wide <= 1.5 * usual, "%s: as in float32 (%.4f, each %.4f)", name, to_wide, usual);
    ok(same(&together, &threads), "%s: the same bits from three threads", name);
    bool right = true;
    for (size_t i = 0; i < PARAMS; i++)
        right = right && together.p[i].has_grad == together.p[i].trained;
    ok(right, "%s: a gradient for all that is trained, and for nothing else", name);
    net_free(&together), net_free(&apart), net_free(&wide), net_free(&threads);
}

int main(void)
{
    check("all", NULL);
    check("a frozen weight with a trained bias, and a frozen bias",
          (const bool[PARAMS]){ [Q] = true, [V_B] = true, [UP] = true });
    check("layers above what is frozen", (const bool[PARAMS]){ [TABLE] = true, [NORM] = true, [NORM_B] = true });
    check("norms alone", (const bool[PARAMS]){ [TABLE] = true, [Q] = true, [Q_B] = true, [K] = true, [VALUE] = true,
                                               [V_B] = true, [OUT] = true, [OUT_B] = true, [GATE] = true, [UP] = true,
                                               [DOWN] = true });
    return done();
}
