/* tests/unit/gemma3_train_test.c - Gemma 3 trained: AdamW's steps, adapters, merged weights as PyTorch and PEFT have them
 *
 * Weights are judged by tensors: AdamW turns an element whose gradient is only rounding into a step of up to the rate. */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/optim/schedule.h"
#include "kernels/nn/param/lora.h"
#include "tests/unit/gemma3_case.h"

#define GOLDEN "tests/golden/"

static struct compute compute;

struct settings { const char *dir; double weight_decay, max_grad_norm; };
static const struct settings micro = { "gemma3-micro", 0.01, 1.0 }, variant = { "gemma3-variant", 0.3, 5.5 };

/* --- steps ------------------------------------------------------------------------------- */
/* steps as log says them; PREFIX names its loss. */
static void train(struct model *m, struct tape *t, const struct settings *s, const struct safetensors *batches,
                  const struct safetensors *log, const char *loss_name, bool tell)
{
    size_t steps;
    char why[WHY] = "";
    int64_t *which = golden_ints(batches, "batch", NULL), *tokens = golden_ints(log, "tokens", &steps);
    float *want_loss = golden_f32(log, loss_name, NULL), *want_norm = golden_f32(log, "grad_norm", NULL);
    float *rate = golden_f32(log, "learning_rate", NULL);
    struct adamw a = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = s->weight_decay,
                       .max_grad_norm = s->max_grad_norm };
    for (size_t k = 0; k < steps; k++) {
        struct batch b;
        struct loss l = { 0 };
        gemma3_rows(&b, batches, (size_t)which[k], NULL);
        int status = model_step(t, m, &b, TAPE_TRAIN, k + 1, &l, why);
        a.learning_rate = 1e-3 * schedule_factor(&(struct schedule){ .warmup = 3, .total = steps }, k);
        double norm = adamw_step(&compute, &m->params, &a, (double)l.tokens), loss = l.nll / (double)l.tokens;
        if (tell)
            ok(status == 0 && fabs(loss - (double)want_loss[k]) <= 1e-5 * loss && (int64_t)l.tokens == tokens[k] &&
               fabs(norm - (double)want_norm[k]) <= 5e-5 * norm && fabs(a.learning_rate - (double)rate[k]) <= 1e-9,
               "%s step %zu: loss %.7f (%.7f) norm %.6f (%.6f) rate %g (%g) %s", s->dir, k, loss, (double)want_loss[k], norm,
               (double)want_norm[k], a.learning_rate, (double)rate[k], why);
        batch_release(&b);
    }
    free(which);
    free(tokens);
    free(want_loss);
    free(want_norm);
    free(rate);
}

/* The rms of got - want over that of want - initial, worst tensor; elements within `limit`. */
static void check_weights(const struct model *m, const char *path, const char *initial, size_t expected, double limit)
{
    struct safetensors st, from;
    size_t compared = 0, off = 0;
    double worst = 0;
    golden_open(&st, path);
    golden_open(&from, initial);
    for (size_t i = 0; i < m->params.n; i++) {
        const struct param *p = m->params.p[i];
        if (!golden_has(&st, p->name))
            continue;
        float *want = golden_f32(&st, p->name, NULL), *old = golden_f32(&from, p->name, NULL);
        double sum = 0, moved = 0;
        for (size_t k = 0; k < p->count; k++) {
            double d = (double)p->data[k] - (double)want[k];
            sum += d * d;
            moved += pow((double)want[k] - (double)old[k], 2);
            off += !(fabs(d) <= limit);
        }
        double ratio = sqrt(sum / moved);
        worst = worse(worst, ratio);
        free(want);
        free(old);
        compared++;
    }
    is_int((long long)compared, (long long)expected, path);
    ok(worst <= 1e-2, "updates differ by %.1e of theirs at most (limit 1e-2)", worst);
    is_int((long long)off, 0, "elements further than the limit");
    safetensors_close(&st);
    safetensors_close(&from);
}

static void test_adamw(const struct settings *s)
{
    char path[200], dir[200], initial[240];
    struct safetensors batches;
    snprintf(dir, sizeof dir, GOLDEN "%s/model", s->dir);
    struct model *m = golden_model(dir);
    struct tape *t = tape_new(&compute);
    snprintf(path, sizeof path, GOLDEN "%s/train.safetensors", s->dir);
    golden_open(&batches, path);
    train(m, t, s, &batches, &batches, "loss", true);
    snprintf(path, sizeof path, GOLDEN "%s/final.safetensors", s->dir);
    snprintf(initial, sizeof initial, "%s/model.safetensors", dir);
    check_weights(m, path, initial, m->params.n, 1e-5);
    safetensors_close(&batches);
    tape_free(t);
    model_free(m);
}

/* --- adapters ------------------------------------------------------------------------------- */
#define LORA GOLDEN "gemma3-micro/lora/"

static void check_merged(const struct model *m)
{
    struct safetensors st;
    size_t compared = 0;
    golden_open(&st, LORA "merged.safetensors");
    for (size_t i = 0; i < m->params.n; i++) {
        const struct param *p = m->params.p[i];
        if (!golden_has(&st, p->name))
            continue;
        float *want = golden_f32(&st, p->name, NULL);
        is_close(p->data, want, p->count, 2e-6, p->name);
        free(want);
        compared++;
    }
    is_int((long long)compared, 7, "merged weights of the first layer");
    safetensors_close(&st);
}

static void test_lora(void)
{
    char why[WHY] = "";
    struct safetensors forward, batches, expect;
    struct batch b;
    struct loss l = { 0 };
    size_t n;
    struct model *m = golden_model(GOLDEN "gemma3-micro/model");
    struct lora_options o = { .r = 8, .alpha = 16, .targets = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj" };
    is_int(lora_attach(&m->params, &o, why), 28, "layers that get an adapter");
    ok(params_reserve(&m->params, true, why) == 0, "memory %s", why);
    golden_weights(m, LORA "adapter_initial/adapter_model.safetensors");
    golden_open(&forward, GOLDEN "gemma3-micro/forward.safetensors");
    golden_open(&batches, GOLDEN "gemma3-micro/train.safetensors");
    golden_open(&expect, LORA "lora.safetensors");
    struct tape *t = tape_new(&compute);
    float *loss = golden_f32(&expect, "loss", NULL);
    for (int pass = 0; pass < 2; pass++) {
        gemma3_rows(&b, &forward, 0, NULL);
        t->recompute = pass == 1;
        int status = model_step(t, m, &b, TAPE_TRAIN, 1, &l, why);
        double got = l.nll / (double)l.tokens;
        ok(status == 0 && fabs(got - (double)loss[0]) <= 2e-6 * got, "adapted loss %.7f (want %.7f) %s", got,
           (double)loss[0], why);
        double e = gemma3_gradients(m, &expect, "grad.", (double)l.tokens, &n);
        ok(e <= 2e-5 && n == 56, "gradients of %zu adapter tensors: worst scaled error %.1e", n, e);
        grads_clear(&m->params);
        batch_release(&b);
    }
    t->recompute = false;
    train(m, t, &micro, &batches, &expect, "log.loss", true);
    check_weights(m, LORA "adapter_final/adapter_model.safetensors", LORA "adapter_initial/adapter_model.safetensors",
                  56, 1e-5);
    golden_weights(m, LORA "adapter_final/adapter_model.safetensors");
    lora_merge(&compute, &m->params);
    check_merged(m);
    free(loss);
    safetensors_close(&forward);
    safetensors_close(&batches);
    safetensors_close(&expect);
    tape_free(t);
    model_free(m);
}

/* --- the same bits ------------------------------------------------------------------------------ */
static void test_threads(void)
{
    struct model *m[3];
    struct safetensors batches;
    golden_open(&batches, GOLDEN "gemma3-micro/train.safetensors");
    for (int i = 0; i < 3; i++) {
        team_free(compute.team);
        compute.team = team_new(i + 1, NULL);
        m[i] = golden_model(GOLDEN "gemma3-micro/model");
        struct tape *t = tape_new(&compute);
        t->recompute = i == 2;
        train(m[i], t, &micro, &batches, &batches, "loss", false);
        tape_free(t);
    }
    for (int i = 1; i < 3; i++)
        is_int((long long)golden_differ(m[0], m[i]), 0,
               i == 1 ? "two threads give the bits of one" : "and so do three, with layers computed again");
    for (int i = 0; i < 3; i++)
        model_free(m[i]);
    safetensors_close(&batches);
}

int main(void)
{
    golden_compute(&compute, 2);
    test_adamw(&micro);
    test_adamw(&variant);
    test_lora();
    test_threads();
    team_free(compute.team);
    return done();
}
