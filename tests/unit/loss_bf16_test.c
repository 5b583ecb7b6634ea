/* tests/unit/loss_bf16_test.c - the fused loss of bfloat16 training, every variant: a softmax in double */
#include "tests/unit/tap.h"

#include "kernels/linalg/pack/pack.h"
#include "kernels/nn/random.h"
#include "kernels/nn/tape/record.h"

#include <stdlib.h>

enum { ROWS = 9, COLS = 24, MOST = 1000 };
static const struct target wanted[] = { { 0, 3 }, { 2, 0 }, { 3, 20 }, { 5, 3 }, { 8, 19 }, { 1, 20 } };
enum { N = sizeof wanted / sizeof *wanted };

struct run {
    float *x, *dx, nll[N];
    struct param w;
    struct loss loss;
};

static void loss_run(struct tape *t, void *ctx)
{
    struct run *r = ctx;
    struct tensor *x = tape_input(t, r->x, ROWS, COLS);
    x->needs_grad = true;
    tape_lm_loss(t, x, &r->w, 0, 0, wanted, N, &r->loss, r->nll);
    tape_backward(t);
    if (!t->dry && !t->failed)
        memcpy(r->dx, x->grad, ROWS * COLS * sizeof(float));
}

struct want { double nll[N], dx[ROWS * COLS], dw[MOST * COLS]; };

static double rounded(float x) { return (double)bf16_float(bf16_of(x)); }

static void want_make(struct want *want, const struct run *r, size_t vocab)
{
    static double z[MOST];
    memset(want, 0, sizeof *want);
    for (size_t i = 0; i < N; i++) {
        const float *x = r->x + wanted[i].row * COLS;
        double most = -INFINITY, sum = 0;
        for (size_t v = 0; v < vocab; v++) {
            z[v] = 0;
            for (size_t k = 0; k < COLS; k++)
                z[v] += rounded(x[k]) * rounded(r->w.data[v * COLS + k]);
            most = z[v] > most ? z[v] : most;
        }
        for (size_t v = 0; v < vocab; v++)
            sum += exp(z[v] - most);
        want->nll[i] = most + log(sum) - z[wanted[i].id];
        for (size_t v = 0; v < vocab; v++) {
            double dz = exp(z[v] - most) / sum - (v == (size_t)wanted[i].id);
            for (size_t k = 0; k < COLS; k++) {
                want->dx[wanted[i].row * COLS + k] += dz * rounded(r->w.data[v * COLS + k]);
                want->dw[v * COLS + k] += dz * rounded(x[k]);
            }
        }
    }
}

/* Of the largest: exponentials and probabilities are rounded to 8 bits each. */
static bool near(const float *got, const double *want, size_t n, const char *what)
{
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)got[i] - want[i]);
        most = fabs(want[i]) > most ? fabs(want[i]) : most;
        worst = worse(worst, e);
    }
    bool pass = worst <= 0.008 * most;
    if (!pass)
        printf("# %s: off by %g, the largest is %g\n", what, worst, most);
    return pass;
}

static void check(const struct kernels *k, struct team *team, size_t vocab, float size, size_t bytes)
{
    static float x[ROWS * COLS], dx[ROWS * COLS], w[MOST * COLS], dw[MOST * COLS];
    static struct want want;
    struct compute c = { .team = team, .k = k, .bf16 = true };
    char why[WHY] = "";
    struct run r = { .x = x, .dx = dx, .w = { .name = "w", .rank = 2, .shape = { vocab, COLS }, .count = vocab * COLS,
                                              .data = w, .grad = dw, .trained = true } };
    for (size_t i = 0; i < ROWS * COLS; i++)
        x[i] = 2 * random_uniform(5, i) - 1;
    for (size_t i = 0; i < vocab * COLS; i++)
        w[i] = size * (2 * random_uniform(6, i) - 1);
    want_make(&want, &r, vocab);
    struct tape *t = tape_new(&c);
    t->poison = true;
    t->loss_bytes = bytes;
    bool good = tape_run(t, TAPE_TRAIN, 1, loss_run, &r, why) == 0;
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        good = fabs((double)r.nll[i] - want.nll[i]) <= 2e-5 * (1 + want.nll[i]) && good;
        sum += want.nll[i];
    }
    ok(good && fabs(r.loss.sum - sum) <= 2e-5 * sum && r.loss.sum == r.loss.nll,
       "%s: the loss of %zu entries, weights up to %g, %zu bytes %s", k->name, vocab, (double)size, bytes, why);
    ok(near(dx, want.dx, ROWS * COLS, "values") && near(dw, want.dw, vocab * COLS, "weights"), "%s: its gradients", k->name);
    tape_free(t);
    packed_free(r.w.packed);
}

int main(void)
{
    static const char *const names[] = { "ref", "avx2", "avx512", "avx512bf16", "neon" };
    struct team *team = team_new(3, NULL);
    for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
        const struct kernels *k = kernels_choose(names[v]);
        if (!k)
            continue;
        check(k, team, 21, 1, 1 << 20);
        check(k, team, 333, 1, 5000);
        check(k, team, 1000, 0.2f, 1 << 20);
        check(k, team, 1000, 12, 1 << 20);
    }
    team_free(team);
    return done();
}
