/* tests/unit/lora_test.c - adapters against PEFT: gradients, steps, merged weights; which layers a pattern matches */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/optim/schedule.h"
#include "kernels/nn/param/lora.h"
#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static struct safetensors inputs;

static void check_gradients(struct model *m, const struct safetensors *expect, const struct loss *l)
{
    size_t compared = 0, trained = 0;
    double worst = 0;
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        char name[300];
        size_t at;
        snprintf(name, sizeof name, "grad.%s", p->name);
        trained += p->trained;
        if (!golden_has(expect, name))
            continue;
        float *want = golden_f32(expect, name, NULL);
        for (size_t k = 0; k < p->count; k++)
            want[k] *= (float)l->tokens;
        double e = scaled_error(p->grad, want, p->count, &at);
        worst = worse(worst, e);
        free(want);
        compared++;
    }
    ok(compared == trained && compared > 0 && worst <= 2e-5, "%zu adapter gradients of %zu: worst scaled error %.1e",
       compared, trained, worst);
}

static void check_final(struct model *m, const char *path)
{
    struct safetensors st;
    golden_open(&st, path);
    struct golden_gap gap = golden_gap(m, &st);
    ok(gap.tensors == st.n && gap.rms <= 2e-6, "%s: %zu tensors, worst rms %.1e", path, gap.tensors, gap.rms);
    safetensors_close(&st);
}

static struct model *adapted(const char *dir, const char *targets, const char *layers)
{
    char path[200], why[WHY] = "";
    struct model *m = golden_model(CASE "model");
    struct lora_options o = { .r = 8, .alpha = 16, .targets = targets, .layers = layers };
    long n = lora_attach(&m->params, &o, why);
    ok(n > 0, "'%s' matches %ld layers %s", targets, n, why);
    if (params_reserve(&m->params, true, why))
        ok(false, "memory: %s", why);
    snprintf(path, sizeof path, CASE "%s/adapter_model.safetensors", dir);
    golden_weights(m, path);
    return m;
}

static void test_case(const char *dir, const char *targets, const char *layers)
{
    char path[200], why[WHY] = "";
    struct model *m = adapted(dir, targets, layers);
    struct safetensors expect;
    struct batch b;
    struct loss l = { 0 };
    struct tape *t = tape_new(&compute);
    t->poison = true;
    snprintf(path, sizeof path, CASE "%s/expect.safetensors", dir);
    golden_open(&expect, path);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = WHISPER_WIDTH });
    int status = model_step(t, m, &b, TAPE_TRAIN, 1, &l, why);
    float *loss = golden_f32(&expect, "loss", NULL);
    ok(status == 0 && fabs(l.nll / (double)l.tokens - (double)loss[0]) <= 2e-6 * (double)loss[0],
       "%s: loss %.7f (%.7f) %s", dir, l.nll / (double)l.tokens, (double)loss[0], why);
    check_gradients(m, &expect, &l);
    grads_clear(&m->params);

    snprintf(path, sizeof path, CASE "%s/adamw.json", dir);
    json_t *j = golden_json(path), *steps = json_object_get(j, "steps");
    uint64_t warmup = (uint64_t)json_integer_value(json_object_get(json_object_get(j, "hyper"), "warmup_steps"));
    double rate = json_number_value(json_object_get(json_object_get(j, "hyper"), "lr"));
    struct adamw a = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1 };
    const struct schedule course = { .kind = SCHEDULE_LINEAR, .warmup = warmup, .total = json_array_size(steps) };
    for (uint64_t s = 0; s < json_array_size(steps); s++) {
        const json_t *want = json_array_get(steps, s);
        double want_loss = json_number_value(json_object_get(want, "loss"));
        double want_norm = json_number_value(json_object_get(want, "grad_norm"));
        status = model_step(t, m, &b, TAPE_TRAIN, s + 1, &l, why);
        a.learning_rate = rate * schedule_factor(&course, s);
        double norm = adamw_step(&compute, &m->params, &a, (double)l.tokens);
        ok(status == 0 && fabs(l.nll / (double)l.tokens - want_loss) <= 1e-5 && fabs(norm - want_norm) <= 1e-5 * want_norm,
           "%s step %d: loss %.7f (%.7f) norm %.7f (%.7f)", dir, (int)s, l.nll / (double)l.tokens, want_loss, norm,
               want_norm);
    }
    json_decref(j);
    snprintf(path, sizeof path, CASE "%s/adamw-final.safetensors", dir);
    check_final(m, path);
    safetensors_close(&expect);
    free(loss);
    batch_release(&b);
    tape_free(t);
    model_free(m);
}

static void test_merge(const char *dir, const char *targets, const char *layers)
{
    char path[200];
    struct model *m = adapted(dir, targets, layers);
    lora_merge(&compute, &m->params);
    snprintf(path, sizeof path, CASE "%s/merged.safetensors", dir);
    check_final(m, path);
    model_free(m);
}

/* Dropout of an adapter's input: the same key the same bits, whatever the threads and whether layers are computed again. */
static void test_dropout(void)
{
    float *first = NULL;
    for (int i = 0; i < 4; i++) {
        char why[WHY] = "";
        team_free(compute.team);
        compute.team = team_new(1 + i % 2, NULL);
        struct model *m = golden_model(CASE "model");
        struct lora_options o = { .r = 4, .alpha = 8, .dropout = 0.3, .targets = "q_proj,fc2", .rslora = true };
        struct batch b;
        struct loss l;
        ok(lora_attach(&m->params, &o, why) == 10 && params_reserve(&m->params, true, why) == 0,
           "an adapter with dropout %s", why);
        for (size_t k = 0; k < m->params.n; k++)
            if (m->params.p[k]->kind == PARAM_ADAPTER) {
                m->params.p[k]->init = INIT_UNIFORM;
                m->params.p[k]->init_scale = 0.3f;
                param_init(m->params.p[k], 7);
            }
        struct tape *t = tape_new(&compute);
        t->recompute = i >= 2;
        t->poison = true;
        whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = WHISPER_WIDTH });
        ok(model_step(t, m, &b, TAPE_TRAIN, 11, &l, why) == 0, "a step with it %s", why);
        struct param *p = params_find(&m->params, "base_model.model.model.encoder.layers.0.fc2.lora_A.weight");
        if (!first) {
            first = malloc(p->count * sizeof *first);
            memcpy(first, p->grad, p->count * sizeof *first);
        }
        ok(!memcmp(first, p->grad, p->count * sizeof *first), "the same bits, %d threads, %s", 1 + i % 2,
           i >= 2 ? "computed again" : "kept");
        if (i == 3) {
            grads_clear(&m->params);
            ok(model_step(t, m, &b, TAPE_TRAIN, 12, &l, why) == 0 && memcmp(first, p->grad, p->count * sizeof *first),
               "another key gives others %s", why);
        }
        batch_release(&b);
        tape_free(t);
        model_free(m);
    }
    free(first);
}

static void test_patterns(void)
{
    struct model *m = golden_model(CASE "model");
    char why[WHY] = "";
    struct lora_options o = { .r = 8, .alpha = 16, .targets = "q_projection" };
    ok(lora_attach(&m->params, &o, why) == -1, "no match is an error: %s", why);
    o.targets = "encoder";
    ok(lora_attach(&m->params, &o, why) == -1, "a name part in the middle matches no module: %s", why);
    o.targets = "(q_proj";
    ok(lora_attach(&m->params, &o, why) == -1, "a bad expression is an error: %s", why);
    o = (struct lora_options){ .r = 8, .alpha = 16, .targets = "all-linear", .layers = "decoder" };
    ok(lora_attach(&m->params, &o, why) == 20, "all linear layers of the decoder are 20 %s", why);
    model_free(m);
    m = golden_model(CASE "model");
    struct match *p = match_new("encoder", why);
    is_int((long long)params_freeze(&m->params, p), 37, "'encoder' freezes the encoder and not the decoder's encoder_attn");
    match_free(p);
    p = match_new("^model\\.decoder\\..*norm", why);
    is_int((long long)params_freeze(&m->params, p), 14, "an expression is searched for in names of tensors");
    match_free(p);
    model_free(m);
}

int main(void)
{
    static const char *const cases[][3] = {
        { "lora-qv", "q_proj,v_proj", NULL },
        { "lora-ffn", "q_proj,v_proj,fc1,fc2", "all" },
        { "lora-encoder", "model\\.encoder\\..*\\.(q_proj|v_proj|fc1|fc2)", NULL },
        { "lora-encoder", "q_proj,v_proj,fc1,fc2", "encoder" },
    };
    golden_compute(&compute, 2);
    golden_open(&inputs, CASE "inputs.safetensors");
    for (size_t i = 0; i < 4; i++) {
        test_case(cases[i][0], cases[i][1], cases[i][2]);
        test_merge(cases[i][0], cases[i][1], cases[i][2]);
    }
    test_dropout();
    test_patterns();
    safetensors_close(&inputs);
    team_free(compute.team);
    return done();
}
