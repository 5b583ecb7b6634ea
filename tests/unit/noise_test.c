/* tests/unit/noise_test.c - dropout, layer drop, SpecAugment: keyed, so the same every time */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/optim/optim.h"
#include "kernels/nn/random.h"
#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static struct safetensors inputs;

/* The micro model with more keys in its configuration. */
static struct model *model_with(const char *keys)
{
    char why[WHY] = "";
    json_t *c = golden_json(CASE "model/config.json"), *more = json_loads(keys, 0, NULL);
    json_object_update(c, more);
    char *text = json_dumps(c, 0);
    struct model *m = model_new(text, strlen(text), why);
    if (!m || params_reserve(&m->params, true, why)) {
        printf("Bail out! %s\n", why);
        exit(1);
    }
    golden_weights(m, CASE "model/model.safetensors");
    json_decref(c);
    json_decref(more);
    free(text);
    return m;
}

static double loss_of(struct model *m, const struct batch *b, int threads, bool recompute, uint64_t key)
{
    struct loss l = { 0 };
    char why[WHY] = "";
    team_free(compute.team);
    compute.team = team_new(threads, NULL);
    struct tape *t = tape_new(&compute);
    t->recompute = recompute;
    t->poison = true;
    if (model_step(t, m, b, TAPE_TRAIN, key, &l, why))
        ok(false, "%s", why);
    tape_free(t);
    return l.sum;
}

/* The gradient is that of the very function that was drawn: against differences along it. */
static void test_dropout(const char *keys, bool drops)
{
    struct model *m = model_with(keys);
    struct batch b;
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = 10, .heard = 300, .padding = 0.5f });
    double loss = loss_of(m, &b, 1, false, 5);
    struct param *p[] = { params_find(&m->params, "model.encoder.layers.0.self_attn.q_proj.weight"),
                          params_find(&m->params, "model.decoder.layers.1.encoder_attn.v_proj.weight"),
                          params_find(&m->params, "model.encoder.conv2.weight"),
                          params_find(&m->params, "model.decoder.embed_positions.weight") };
    for (size_t i = 0; i < 4; i++) {
        if (!p[i]->has_grad)                    /* its layer was left out */
            continue;
        double slope = 0;
        float *g = malloc(p[i]->count * sizeof *g), *w = malloc(p[i]->count * sizeof *w);
        for (size_t k = 0; k < p[i]->count; k++)
            slope += (double)p[i]->grad[k] * (double)p[i]->grad[k];
        memcpy(g, p[i]->grad, p[i]->count * sizeof *g);
        memcpy(w, p[i]->data, p[i]->count * sizeof *w);
        double h = 0.02 / slope, at[2];
        for (int s = 0; s < 2; s++) {
            for (size_t k = 0; k < p[i]->count; k++)
                p[i]->data[k] = w[k] + (float)(s ? -h : h) * g[k];
            grads_clear(&m->params);
            at[s] = loss_of(m, &b, 2, true, 5);
        }
        memcpy(p[i]->data, w, p[i]->count * sizeof *w);
        double got = (at[0] - at[1]) / (2 * h);
        ok(fabs(got - slope) <= 2e-2 * slope, "slope along the gradient of %s: %g (want %g)", p[i]->name, got, slope);
        grads_clear(&m->params);
        loss_of(m, &b, 1, false, 5);
        free(g);
        free(w);
    }
    float *g = malloc(p[0]->count * sizeof *g);
    memcpy(g, p[0]->grad, p[0]->count * sizeof *g);
    grads_clear(&m->params);
    ok(loss_of(m, &b, 3, true, 5) == loss && (!p[0]->has_grad || !memcmp(g, p[0]->grad, p[0]->count * sizeof *g)),
       "the same key gives the same bits, with other threads and layers computed again");
    free(g);
    double other = loss;
    for (uint64_t key = 6; key < 16 && other == loss; key++)
        other = loss_of(m, &b, 1, false, key);
    ok((other != loss) == drops, "other keys give %s loss", drops ? "another" : "the same");
    struct loss a = { 0 }, c = { 0 };
    char why[WHY] = "";
    struct tape *t = tape_new(&compute);
    ok(!model_step(t, m, &b, TAPE_INFER, 5, &a, why) && !model_step(t, m, &b, TAPE_INFER, 6, &c, why) && a.nll == c.nll,
       "evaluation draws nothing %s", why);
    tape_free(t);
    batch_release(&b);
    model_free(m);
}

/* --- SpecAugment ---------------------------------------------------------------------- */
struct masks { size_t frames, beyond, bins; float *seen; };

static void count_masks(void *ctx, const char *name, const struct tensor *x)
{
    struct masks *m = ctx;
    if (strcmp(name, "features"))
        return;
    for (size_t r = 0; r < x->rows; r++) {
        bool zero = true;
        for (size_t c = 0; c < x->cols; c++)
            zero &= x->data[r * x->cols + c] == 0;
        *(r % 300 < 200 ? &m->frames : &m->beyond) += zero;
    }
    for (size_t c = 0; c < x->cols; c++) {
        bool zero = true;
        for (size_t r = 0; r < 300; r++)
            zero &= x->data[r * x->cols + c] == 0;
        m->bins += zero;
    }
    m->seen = malloc(x->rows * x->cols * sizeof *m->seen);
    memcpy(m->seen, x->data, x->rows * x->cols * sizeof *m->seen);
}

static void test_augment(void)
{
    struct model *m = model_with("{\"apply_spec_augment\": true, \"mask_time_prob\": 0.2, \"mask_time_length\": 8,"
                                 " \"mask_feature_prob\": 0.1, \"mask_feature_length\": 4}");
    struct masks seen[3] = { { 0 } };
    char why[WHY] = "";
    struct batch b;
    struct tape *t = tape_new(&compute);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = 10, .heard = 200, .padding = 0.5f });
    t->tap = count_masks;
    for (int i = 0; i < 3; i++) {
        t->tap_ctx = seen + i;
        if (i == 2)
            b.key[0]++;
        ok(model_step(t, m, &b, i == 1 ? TAPE_INFER : TAPE_TRAIN, 1, NULL, why) == 0, "a step %s", why);
        grads_clear(&m->params);
    }
    /* 5 or 6 spans of 8 in each of three rows of 200 heard frames, overlaps apart */
    ok(seen[0].frames > 40 && seen[0].frames <= 144 && seen[0].beyond == 0,
       "%zu frames are masked, none beyond what was heard", seen[0].frames);
    ok(seen[0].bins >= 4 && seen[0].bins <= 12, "%zu bins are masked", seen[0].bins);
    ok(seen[1].frames == 0 && seen[1].bins == 0, "and nothing in evaluation");
    ok(memcmp(seen[0].seen, seen[2].seen, 300 * 80 * sizeof(float)) &&
       !memcmp(seen[0].seen + 300 * 80, seen[2].seen + 300 * 80, 2 * 300 * 80 * sizeof(float)),
           "a row's key changes its own masks alone");
    for (int i = 0; i < 3; i++)
        free(seen[i].seen);
    tape_free(t);
    batch_release(&b);
    model_free(m);
}

/* transformers counts spans against the whole input: two of 10 fall into 15 frames that were heard, one over the other. */
static void test_short_clip(void)
{
    struct model *m = model_with("{\"apply_spec_augment\": true, \"mask_time_prob\": 0.05, \"mask_time_length\": 10}");
    struct masks seen = { 0 };
    char why[WHY] = "";
    struct batch b;
    struct tape *t = tape_new(&compute);
    whisper_rows(&b, &inputs, &(struct whisper_rows){ .end = 3, .tokens = 10, .heard = 15, .padding = 0.5f });
    t->tap = count_masks;
    t->tap_ctx = &seen;
    ok(model_step(t, m, &b, TAPE_TRAIN, 1, NULL, why) == 0, "a step %s", why);
    ok(seen.frames >= 33 && seen.frames <= 45, "%zu of 45 frames of short clips are masked: two spans in each", seen.frames);
    free(seen.seen);
    tape_free(t);
    batch_release(&b);
    model_free(m);
}

int main(void)
{
    golden_compute(&compute, 1);
    golden_open(&inputs, CASE "inputs.safetensors");
    test_dropout("{}", false);
    test_dropout("{\"dropout\": 0.2, \"activation_dropout\": 0.1}", true);
    test_dropout("{\"attention_dropout\": 0.3}", true);
    test_dropout("{\"encoder_layerdrop\": 0.4, \"decoder_layerdrop\": 0.4}", true);
    test_augment();
    test_short_clip();
    safetensors_close(&inputs);
    team_free(compute.team);
    return done();
}
