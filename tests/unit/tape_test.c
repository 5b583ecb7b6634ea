/* tests/unit/tape_test.c - the fused loss against a plain one; memory as the dry run said; failures */
#include "tests/unit/tap.h"

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/random.h"
#include "kernels/nn/tape/record.h"
#include "tests/unit/golden.h"

/* --- the loss ------------------------------------------------------------------------------ */
struct loss_run {
    float *x, *dx, nll[4];
    struct param w;
    float cap, smoothing;
    struct loss loss;
};
static const struct target wanted[] = { { 0, 3 }, { 2, 0 }, { 3, 20 }, { 5, 3 } };

static void loss_run(struct tape *t, void *ctx)
{
    struct loss_run *r = ctx;
    struct tensor *x = tape_input(t, r->x, 6, 9);
    x->needs_grad = true;
    tape_lm_loss(t, x, &r->w, r->cap, r->smoothing, wanted, 4, &r->loss, r->nll);
    tape_backward(t);
    if (!t->dry && !t->failed)
        memcpy(r->dx, x->grad, 54 * sizeof(float));
}

static double loss_ref(const double *x, const double *w, double cap, double e)
{
    double total = 0;
    for (int i = 0; i < 4; i++) {
        double z[21], sum = 0, mean = 0;
        for (int v = 0; v < 21; v++) {
            z[v] = 0;
            for (int k = 0; k < 9; k++)
                z[v] += x[wanted[i].row * 9 + (size_t)k] * w[v * 9 + k];
            if (cap > 0)
                z[v] = cap * tanh(z[v] / cap);
            sum += exp(z[v]);
            mean += z[v] / 21;
        }
        total += (1 - e) * (log(sum) - z[wanted[i].id]) + e * (log(sum) - mean);
    }
    return total;
}

static void loss_check(const struct compute *c, float cap, float smoothing, size_t bytes, bool lent)
{
    static float x[54], dx[54], w[189], dw[189], want[189];
    static double ex[54], ew[189];
    char why[WHY] = "", name[120];
    struct loss_run r = { .x = x, .dx = dx, .cap = cap, .smoothing = smoothing,
                          .w = { .name = "w", .rank = 2, .shape = { 21, 9 }, .count = 189, .data = w,
                                 .grad = lent ? NULL : dw, .trained = true } };
    for (size_t i = 0; i < 54; i++)
        ex[i] = (double)(x[i] = 2 * random_uniform(5, i) - 1);
    for (size_t i = 0; i < 189; i++)
        ew[i] = (double)(w[i] = 2 * random_uniform(6, i) - 1);
    struct tape *t = tape_new(c);
    t->poison = true;
    t->loss_bytes = bytes;
    ok(tape_run(t, TAPE_TRAIN, 1, loss_run, &r, why) == 0, "loss, cap %g, smoothing %g, %zu bytes%s %s", (double)cap,
       (double)smoothing, bytes, lent ? ", a lent gradient" : "", why);
    double got = loss_ref(ex, ew, (double)cap, (double)smoothing), plain = loss_ref(ex, ew, (double)cap, 0);
    ok(fabs(r.loss.sum - got) <= 1e-6 * got && fabs(r.loss.nll - plain) <= 1e-6 * plain, "its sum %.7f (want %.7f)",
       r.loss.sum, got);
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)r.nll[i];
    ok(fabs(sum - plain) <= 1e-6 * plain, "its parts add up");
    for (int pass = 0; pass < 2; pass++) {
        double *at = pass ? ew : ex;
        size_t n = pass ? 189 : 54;
        for (size_t i = 0; i < n; i++) {
            double keep = at[i];
            at[i] = keep + 1e-5;
            double above = loss_ref(ex, ew, (double)cap, (double)smoothing);
            at[i] = keep - 1e-5;
            want[i] = (float)((above - loss_ref(ex, ew, (double)cap, (double)smoothing)) / 2e-5);
            at[i] = keep;
        }
        snprintf(name, sizeof name, "its gradient of %s", pass ? "the weights" : "the values");
        is_close(!pass ? dx : lent ? r.w.grad : dw, want, n, 1e-5, name);
    }
    tape_free(t);
}

/* --- memory and failures --------------------------------------------------------------------- */
static void endless_run(struct tape *t, void *ctx)
{
    struct tensor *x = tape_input(t, ctx, 2, 2);
    x->needs_grad = true;
    for (int i = 0; i < 100; i++)
        x = tape_gelu(t, x);
    tape_backward(t);
}

static void misfit_run(struct tape *t, void *ctx)
{
    struct tensor *x = tape_input(t, ctx, 2, 2), *y = tape_input(t, ctx, 1, 4);
    tape_gelu(t, tape_add(t, x, tape_add(t, x, y)));
    tape_backward(t);
}

static void test_memory(const struct compute *c)
{
    float four[4] = { 1, 2, 3, 4 };
    char why[WHY] = "";
    struct tape_plan plan;
    struct tape *t = tape_new(c);
    ok(tape_reserve(t, TAPE_INFER, endless_run, four, &plan, why) == 0, "a dry run %s", why);
    size_t before = t->size;
    ok(tape_run(t, TAPE_INFER, 1, endless_run, four, why) == 0 && t->size == before && t->high == plan.arena,
       "takes what the real one takes: %zu and %zu bytes", plan.arena, t->high);
    ok(tape_run(t, TAPE_TRAIN, 1, misfit_run, four, why) == -1 && strstr(why, "a sum of") != NULL,
       "a misfit is said: %s", why);
    ok(tape_run(t, TAPE_TRAIN, 1, endless_run, four, why) == 0, "and the tape goes on after it");
    tape_free(t);
}

struct lent_run { float x[54]; struct params ps; struct loss loss; bool twice; };

static void lent_run(struct tape *t, void *ctx)
{
    struct lent_run *r = ctx;
    struct tensor *x = tape_input(t, r->x, 6, 9);
    x->needs_grad = true;
    if (!t->dry && r->twice)
        arena_take(t, 64);
    tape_lm_loss(t, tape_linear(t, x, r->ps.p[1], NULL), r->ps.p[0], 0, 0, wanted, 4, &r->loss, NULL);
    tape_backward(t);
}

static void test_lent(const struct compute *c)
{
    static struct lent_run r;
    char why[WHY] = "";
    struct tape_plan plan;
    struct tape *t = tape_new(c);
    t->poison = true;
    r.ps.lent = true;
    params_add(&r.ps, "vocabulary", PARAM_EMBEDDING, 2, (size_t[]){ 21, 9 });
    params_add(&r.ps, "w", PARAM_LINEAR, 2, (size_t[]){ 9, 9 });
    ok(params_reserve(&r.ps, true, why) == 0 && !r.ps.p[0]->grad && r.ps.p[0]->m,
       "lent gradients have no memory of their own %s", why);
    for (size_t i = 0; i < 54; i++)
        r.x[i] = 2 * random_uniform(5, i) - 1;
    param_init(r.ps.p[0], 1);
    param_init(r.ps.p[1], 2);
    ok(tape_reserve(t, TAPE_TRAIN, lent_run, &r, &plan, why) == 0 &&
       plan.lent == (21 * 9 * 4 / 64 + 1) * 64 + (81 * 4 / 64 + 1) * 64 &&
       plan.used <= plan.arena && !r.ps.p[0]->grad, "a plan has room for them, and leaves none %s", why);
    for (int i = 0; i < 2; i++) {
        ok(tape_run(t, TAPE_TRAIN, 1, lent_run, &r, why) == 0 && r.ps.p[0]->grad && r.ps.p[0]->has_grad &&
           t->high <= plan.arena, "a run lends them %s", why);
        double norm = grad_norm(c, &r.ps, 4);
        ok(norm > 0 && isfinite(norm), "each its own: %g", norm);
    }
    r.twice = true;
    ok(tape_run(t, TAPE_TRAIN, 1, lent_run, &r, why) == -1 && strstr(why, "another order") != NULL,
       "a run that takes what its plan did not is stopped: %s", why);
    r.twice = false;
    ok(tape_run(t, TAPE_TRAIN, 1, lent_run, &r, why) == 0 && r.ps.p[1]->has_grad, "and the next is well %s", why);
    tape_begin(t, TAPE_INFER, 1);
    ok(!r.ps.p[0]->grad && !r.ps.p[0]->has_grad && !r.ps.p[1]->grad, "the next run takes them back");
    ok(tape_run(t, TAPE_TRAIN, 1, lent_run, &r, why) == 0, "lent once more %s", why);
    params_release(&r.ps);
    ok(tape_run(t, TAPE_TRAIN, 1, endless_run, r.x, why) == 0, "parameters may go before the tape %s", why);
    tape_free(t);
}

int main(void)
{
    struct compute c;
    golden_compute(&c, 2);
    for (int lent = 0; lent < 2; lent++) {
        loss_check(&c, 0, 0, 1 << 20, lent);
        loss_check(&c, 0, 0.1f, 3 * 21 * sizeof(float), lent);      /* chunks of three and one */
        loss_check(&c, 1.5f, 0.2f, 1, lent);                        /* of one */
    }
    test_memory(&c);
    test_lent(&c);
    team_free(c.team);
    return done();
}
