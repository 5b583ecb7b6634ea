/* tests/unit/whisper_bf16_test.c - Whisper with products in bfloat16: near the float32 results, the same bits each time
 *
 * What is asked of bfloat16: losses within 1 %, gradients within a few percent (rms) of
 * their tensor, a training run that follows PyTorch's float32 one. */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/optim/schedule.h"
#include "kernels/nn/param/lora.h"
#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static struct safetensors expect, inputs;

static void check_gradients(struct model *m, const struct safetensors *st, double tokens, double limit, const char *what)
{
    double worst = 0;
    size_t compared = 0;
    const char *where = "";
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        char name[300];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!p->trained || !golden_has(st, name))
            continue;
        float *want = golden_f32(st, name, NULL);
        double off = 0, size = 0;
        for (size_t k = 0; k < p->count; k++) {
            double w = (double)want[k] * tokens, d = (double)p->grad[k] - w;
            off += d * d;
            size += w * w;
        }
        double e = sqrt(off / size);
        if (!(e <= worst))
            where = p->name;
        worst = worse(worst, e);
        compared++;
        free(want);
    }
    ok(compared > 0 && worst <= limit, "%s: %zu gradients, worst rms %.1e of its tensor (limit %.0e) in %s", what,
       compared, worst, limit, where);
}

/* One step in some way; the gradients stay. */
static double step(struct model *m, const struct batch *b, int threads, bool recompute, enum tape_mode mode)
{
    struct loss l = { 0 };
    char why[WHY] = "";
    team_free(compute.team);
    compute.team = team_new(threads, NULL);
    struct tape *t = tape_new(&compute);
    t->poison = true;
    t->recompute = recompute;
    if (model_step(t, m, b, mode, 3, &l, why))
        ok(false, "a step: %s", why);
    tape_free(t);
    return l.nll / (double)l.tokens;
}

static float *gradients(const struct model *m, size_t *n)
{
    *n = 0;
    float *g = malloc(params_count(&m->params, true) * sizeof *g);
    for (size_t i = 0; i < m->params.n; i++)
        if (m->params.p[i]->trained) {
            memcpy(g + *n, m->params.p[i]->grad, m->params.p[i]->count * sizeof *g);
            *n += m->params.p[i]->count;
        }
    return g;
}

static void test_bits(struct model *m, const struct batch *b, const char *what)
{
    size_t n;
    grads_clear(&m->params);
    double loss = step(m, b, 1, false, TAPE_TRAIN);
    float *want = gradients(m, &n);
    for (int i = 0; i < 3; i++) {
        grads_clear(&m->params);
        bool same_loss = step(m, b, 1 + i, i > 0, TAPE_TRAIN) == loss;
        float *got = gradients(m, &n);
        ok(same_loss && !memcmp(got, want, n * sizeof *got), "%s: %d threads, layers %s: the same bits", what, 1 + i,
           i > 0 ? "computed again" : "kept");
        free(got);
    }
    free(want);
    grads_clear(&m->params);
}

static void test_whole(void)
{
    struct model *m = golden_model(CASE "model");
    struct batch b;
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    float *want = golden_f32(&expect, "loss", NULL);
    double loss = step(m, &b, 2, false, TAPE_TRAIN), tokens = 54;
    ok(fabs(loss - (double)want[0]) <= 0.01 * (double)want[0], "loss %.4f (float32: %.4f)", loss, (double)want[0]);
    check_gradients(m, &expect, tokens, 0.06, "full");
    test_bits(m, &b, "full");
    double eval = step(m, &b, 2, false, TAPE_INFER);
    ok(fabs(eval - (double)want[0]) <= 0.01 * (double)want[0], "evaluation %.4f", eval);
    free(want);
    batch_release(&b);
    model_free(m);
}

static void test_adapter(void)
{
    char why[WHY] = "";
    struct safetensors st;
    struct model *m = golden_model(CASE "model");
    struct lora_options o = { .r = 8, .alpha = 16, .targets = "q_proj,v_proj,fc1,fc2" };
    struct batch b;
    if (lora_attach(&m->params, &o, why) < 0 || params_reserve(&m->params, true, why))
        ok(false, "%s", why);
    golden_weights(m, CASE "lora-ffn/adapter_model.safetensors");
    golden_open(&st, CASE "lora-ffn/expect.safetensors");
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    step(m, &b, 2, false, TAPE_TRAIN);
    check_gradients(m, &st, 54, 0.06, "adapters");
    test_bits(m, &b, "adapters");
    for (size_t i = 0; i < m->params.n; i++)
        if (m->params.p[i]->lora.a)
            m->params.p[i]->lora.dropout = 0.2f;
    test_bits(m, &b, "adapters with dropout");
    safetensors_close(&st);
    batch_release(&b);
    model_free(m);
}

static void test_frozen(void)
{
    char why[WHY] = "";
    struct model *m = golden_model(CASE "model");
    struct match *encoder = match_new("encoder", why);
    struct batch b;
    params_freeze(&m->params, encoder);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    step(m, &b, 2, false, TAPE_TRAIN);
    check_gradients(m, &expect, 54, 0.06, "decoder alone");
    test_bits(m, &b, "decoder alone");
    match_free(encoder);
    batch_release(&b);
    model_free(m);
}

/* The ten steps of adamw.json. */
static void test_training(void)
{
    struct model *m = golden_model(CASE "model");
    struct tape *t = tape_new(&compute);
    json_t *j = golden_json(CASE "adamw.json"), *steps = json_object_get(j, "steps");
    struct adamw a = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1.0 };
    struct batch b;
    struct loss l;
    char why[WHY] = "";
    double worst = 0;
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    for (uint64_t s = 0; s < 10; s++) {
        double want = json_number_value(json_object_get(json_array_get(steps, s), "loss"));
        if (model_step(t, m, &b, TAPE_TRAIN, s + 1, &l, why))
            ok(false, "%s", why);
        a.learning_rate = 1e-3 * schedule_factor(&(struct schedule){ .warmup = 3, .total = 10 }, s);
        adamw_step(&compute, &m->params, &a, (double)l.tokens);
        double e = fabs(l.nll / (double)l.tokens - want) / want;
        worst = worse(worst, e);
    }
    ok(worst <= 0.01, "ten steps: the loss is within %.2f %% of PyTorch's in float32 (limit 1)", 100 * worst);
    batch_release(&b);
    tape_free(t);
    json_decref(j);
    model_free(m);
}

int main(void)
{
    golden_compute(&compute, 2);
    compute.bf16 = true;
    golden_open(&expect, CASE "expect.safetensors");
    golden_open(&inputs, CASE "inputs.safetensors");
    test_whole();
    test_adapter();
    test_frozen();
    test_training();
    safetensors_close(&expect);
    safetensors_close(&inputs);
    team_free(compute.team);
    return done();
}
