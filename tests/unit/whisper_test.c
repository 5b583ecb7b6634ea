/* tests/unit/whisper_test.c - Whisper against PyTorch (golden/whisper-micro): stages, loss, gradients, steps */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/optim/schedule.h"
#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static struct safetensors expect, inputs;

/* --- stages --------------------------------------------------------------------------- */
/* The golden convolutions are [B, D, T], ours [B * T, D]. */
static void check_stage(void *ctx, const char *name, const struct tensor *x)
{
    (void)ctx;
    size_t n;
    if (!golden_has(&expect, name))
        return;
    float *want = golden_f32(&expect, name, &n);
    if (!strncmp(name, "enc.conv", 8)) {
        size_t d = x->cols, t = x->rows / 3;
        float *flat = malloc(n * sizeof *flat);
        for (size_t b = 0; b < 3; b++)
            for (size_t i = 0; i < t; i++)
                for (size_t c = 0; c < d; c++)
                    flat[(b * t + i) * d + c] = want[(b * d + c) * t + i];
        free(want);
        want = flat;
    }
    if (!strcmp(name, "nll")) {                 /* ours are the supervised ones alone */
        size_t k = 0;
        for (size_t i = 0; i < n; i++)
            if (want[i] != 0)
                want[k++] = want[i];
        n = k;
    }
    if (ok(x->rows * x->cols == n, "%s has %zu values", name, n))
        is_close(x->data, want, n, strcmp(name, "nll") ? 5e-6 : 2e-6, name);
    free(want);
}

static void check_gradients(struct model *m, const struct loss *l, double limit)
{
    size_t checked = 0;
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        char name[300];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!p->trained || !golden_has(&expect, name))
            continue;
        float *want = golden_f32(&expect, name, NULL);
        for (size_t k = 0; k < p->count; k++)
            want[k] *= (float)l->tokens;
        is_close(p->grad, want, p->count, limit, name);
        free(want);
        checked++;
    }
    is_int((long long)checked, 88, "every gradient was compared");
}

static void test_stages(struct model *m)
{
    char why[WHY] = "";
    struct batch b;
    struct loss l = { 0 };
    struct tape *t = tape_new(&compute);
    t->tap = check_stage;
    t->poison = true;
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = WHISPER_WIDTH });
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0, "a step of whole padded rows: %s", why);
    float *want = golden_f32(&expect, "loss", NULL);
    double loss = l.nll / (double)l.tokens;
    ok(fabs(loss - (double)want[0]) <= 2e-6 * (double)want[0], "loss %.8f (want %.8f)", loss, (double)want[0]);
    free(want);
    check_gradients(m, &l, 2e-5);
    grads_clear(&m->params);

    batch_release(&b);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    t->tap = NULL;
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0, "the same rows without padding: %s", why);
    ok(fabs(l.nll / (double)l.tokens - loss) <= 2e-6 * loss, "give the same loss %.8f", l.nll / (double)l.tokens);
    check_gradients(m, &l, 2e-5);
    grads_clear(&m->params);
    t->recompute = true;
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0, "and with layers computed again in backward: %s", why);
    check_gradients(m, &l, 2e-5);
    grads_clear(&m->params);
    batch_release(&b);
    tape_free(t);
}

/* Clip by clip, in one run: with gradients of their own, and with lent ones. */
static void test_parts(struct model *m, const char *what, bool lent)
{
    struct tape_plan whole, parts;
    struct batch b;
    struct loss l = { 0 }, heard = { 0 };
    char why[WHY] = "";
    struct tape *t = tape_new(&compute);
    t->poison = true;
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    ok(model_plan(t, m, 3, 22, TAPE_TRAIN, &whole, why) == 0, "a plan of all clips at once %s", why);
    m->part = m->source;
    int status = model_plan(t, m, 3, 22, TAPE_TRAIN, &parts, why);
    ok(status == 0 && parts.lent == whole.lent && (parts.arena - parts.lent) * 2 < whole.arena,
       "%s: in parts they take %zu bytes rather than %zu %s", what, parts.arena, whole.arena, why);
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0 && t->high <= parts.arena &&
       (m->params.p[0]->lent_from != NULL) == lent,
       "%s: a step in parts %s", what, why);
    check_gradients(m, &l, 2e-5);
    grads_clear(&m->params);
    t->recompute = true;
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0, "%s: and with layers computed again in backward %s", what, why);
    check_gradients(m, &l, 2e-5);
    grads_clear(&m->params);
    ok(model_step(t, m, &b, TAPE_INFER, 1, &heard, why) == 0 && heard.tokens == l.tokens &&
       fabs(heard.nll - l.nll) <= 2e-6 * l.nll,
       "%s: evaluated in parts %s", what, why);
    batch_release(&b);
    tape_free(t);
}

/* --- optimizer ------------------------------------------------------------------------ */
static void check_weights(struct model *m, const char *path, const char *what)
{
    struct safetensors st;
    golden_open(&st, path);
    struct golden_gap gap = golden_gap(m, &st);
    ok(gap.tensors > 0 && gap.rms <= 2e-6, "%s: worst rms over %zu tensors %.1e (limit 2e-6)", what, gap.tensors, gap.rms);
    ok(gap.off * 1000 <= gap.all, "%s: %zu of %zu weights off by more than 1e-5", what, gap.off, gap.all);
    safetensors_close(&st);
}

/* The steps of an adamw.json on the whole batch. */
static void train(struct model *m, struct tape *t, const char *path, bool tell)
{
    json_t *j = golden_json(path), *hyper = json_object_get(j, "hyper"), *steps = json_object_get(j, "steps");
    double lr = json_number_value(json_object_get(hyper, "lr"));
    uint64_t warmup = (uint64_t)json_integer_value(json_object_get(hyper, "warmup_steps"));
    uint64_t total = (uint64_t)json_integer_value(json_object_get(hyper, "total_steps"));
    struct adamw a = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1.0 };
    struct batch b;
    char why[WHY] = "";
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3 });
    for (uint64_t s = 0; s < total; s++) {
        const json_t *want = json_array_get(steps, s);
        double want_loss = json_number_value(json_object_get(want, "loss"));
        double want_norm = json_number_value(json_object_get(want, "grad_norm"));
        double want_lr = json_number_value(json_object_get(want, "lr"));
        struct loss l = { 0 };
        int status = model_step(t, m, &b, TAPE_TRAIN, s + 1, &l, why);
        a.learning_rate = lr * schedule_factor(&(struct schedule){ .warmup = warmup, .total = total }, s);
        double norm = adamw_step(&compute, &m->params, &a, (double)l.tokens), loss = l.nll / (double)l.tokens;
        if (tell)
            ok(status == 0 && fabs(loss - want_loss) <= 1e-5 && fabs(norm - want_norm) <= 1e-5 * want_norm &&
               fabs(a.learning_rate - want_lr) <= 1e-12,
               "%s step %d: loss %.7f (%.7f) norm %.7f (%.7f) rate %g (%g) %s", path, (int)s, loss, want_loss, norm,
               want_norm, a.learning_rate, want_lr, why);
    }
    batch_release(&b);
    json_decref(j);
}

static void test_adamw(void)
{
    struct model *m = golden_model_lent(CASE "model");
    struct tape *t = tape_new(&compute);
    train(m, t, CASE "adamw.json", true);
    check_weights(m, CASE "adamw-final.safetensors", "weights after ten steps");
    tape_free(t);
    model_free(m);
}

static void test_accumulation(struct model *m)
{
    json_t *j = golden_json(CASE "accumulate.json");
    struct tape *t = tape_new(&compute);
    struct batch b;
    struct loss l, sum = { 0 };
    char why[WHY] = "";
    for (size_t i = 0; i < 2; i++) {
        whisper_rows(&b, &inputs, &(struct whisper_rows){ .first = i ? 2 : 0, .end = i ? 3 : 2 });
        ok(model_step(t, m, &b, TAPE_TRAIN, i + 1, &l, why) == 0, "micro-batch %zu %s", i, why);
        sum.nll += l.nll;
        sum.tokens += l.tokens;
        batch_release(&b);
    }
    double norm = grad_norm(&compute, &m->params, (double)sum.tokens), loss = sum.nll / (double)sum.tokens;
    double want_norm = json_number_value(json_object_get(j, "grad_norm")),
           want = json_number_value(json_object_get(j, "loss"));
    is_int((long long)sum.tokens, json_integer_value(json_object_get(j, "supervised")), "supervised tokens of both");
    ok(fabs(loss - want) <= 1e-5, "accumulated loss %.7f (want %.7f)", loss, want);
    ok(fabs(norm - want_norm) <= 1e-5 * want_norm, "accumulated norm %.7f (want %.7f)", norm, want_norm);
    check_gradients(m, &sum, 2e-5);
    grads_clear(&m->params);
    tape_free(t);
    json_decref(j);
}

/* What is frozen costs nothing, and the rest learns as before. */
static void test_frozen(void)
{
    struct model *m = golden_model(CASE "model");
    struct tape *t = tape_new(&compute);
    struct tape_plan whole, part;
    struct batch b;
    struct loss l = { 0 };
    char why[WHY] = "";
    size_t compared = 0, at;
    double worst = 0;
    struct match *encoder = match_new("encoder", why);
    ok(model_plan(t, m, 3, 22, TAPE_TRAIN, &whole, why) == 0, "a plan with all of it %s", why);
    params_freeze(&m->params, encoder);
    int status = model_plan(t, m, 3, 22, TAPE_TRAIN, &part, why);
    ok(status == 0 && part.forward * 2 < whole.forward,
       "with the encoder frozen less is kept: %zu of %zu bytes", part.forward, whole.forward);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = WHISPER_WIDTH });
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, &l, why) == 0, "a step %s", why);
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        char name[300];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!p->has_grad)
            continue;
        float *want = golden_f32(&expect, name, NULL);
        for (size_t k = 0; k < p->count; k++)
            want[k] *= (float)l.tokens;
        double e = scaled_error(p->grad, want, p->count, &at);
        worst = worse(worst, e);
        compared += !match_tensor(encoder, p->name);
        free(want);
    }
    ok(compared == 88 - 36 && worst <= 2e-5, "%zu gradients are those of the decoder: worst scaled error %.1e",
       compared, worst);
    match_free(encoder);
    batch_release(&b);
    tape_free(t);
    model_free(m);
}

/* --- the same bits ---------------------------------------------------------------------- */
static void test_threads(void)
{
    struct model *m[3];
    for (int i = 0; i < 3; i++) {
        team_free(compute.team);
        compute.team = team_new(i + 1, NULL);
        m[i] = golden_model(CASE "model");
        struct tape *t = tape_new(&compute);
        t->recompute = i == 2;                  /* which must not change them either */
        train(m[i], t, CASE "adamw.json", false);
        tape_free(t);
    }
    for (int i = 1; i < 3; i++)
        is_int((long long)golden_differ(m[0], m[i]), 0,
               i == 1 ? "two threads give the bits of one" : "and so do three, with layers computed again");
    for (int i = 0; i < 3; i++)
        model_free(m[i]);
}

int main(void)
{
    golden_compute(&compute, 2);
    golden_open(&expect, CASE "expect.safetensors");
    golden_open(&inputs, CASE "inputs.safetensors");
    struct model *m = golden_model(CASE "model");
    test_stages(m);
    test_accumulation(m);
    test_parts(m, "gradients of their own", false);
    model_free(m);
    test_parts(m = golden_model_lent(CASE "model"), "lent gradients", true);
    model_free(m);
    test_adamw();
    test_frozen();
    test_threads();
    safetensors_close(&expect);
    safetensors_close(&inputs);
    team_free(compute.team);
    return done();
}
