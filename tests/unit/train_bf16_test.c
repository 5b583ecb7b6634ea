/* tests/unit/train_bf16_test.c - a small Whisper trained in bfloat16: near float32, same bits on any threads */
#include "kernels/models/model.h"
#include "kernels/nn/optim/optim.h"
#include "kernels/nn/param/lora.h"
#include "kernels/nn/random.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

static const char config[] =
    "{\"model_type\": \"whisper\", \"d_model\": 64, \"encoder_layers\": 2, \"decoder_layers\": 2, "
    "\"encoder_attention_heads\": 4, \"decoder_attention_heads\": 4, \"encoder_ffn_dim\": 128, \"decoder_ffn_dim\": 128, "
    "\"num_mel_bins\": 80, \"max_source_positions\": 150, \"max_target_positions\": 64, \"vocab_size\": 563, "
    "\"pad_token_id\": 400, \"bos_token_id\": 400, \"eos_token_id\": 400, \"decoder_start_token_id\": 401, "
    "\"activation_function\": \"gelu\", \"dropout\": 0.0, \"attention_dropout\": 0.0, \"activation_dropout\": 0.0, "
    "\"init_std\": 0.02, \"scale_embedding\": false, \"tie_word_embeddings\": true}";

enum { ROWS = 3, TOKENS = 20 };

struct trained {
    struct model *m;
    double loss[3];
    float *grad;                /* of the first step, all parameters */
    size_t n;
    double off;                 /* of the norm, and how many squares were known: all steps */
    size_t known;
};

static void batch_make(struct batch *b, const struct model *m, char why[WHY])
{
    int32_t ids[TOKENS], labels[TOKENS];
    float *features = malloc(m->bins * m->frames * sizeof *features);
    batch_reserve(b, ROWS, ROWS * TOKENS, m->bins, m->frames, why);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < TOKENS; i++) {
            ids[i] = (int32_t)((r * 131 + i * 71) % 400);
            labels[i] = i ? (int32_t)((r * 31 + i * 53) % 400) : -100;
        }
        for (size_t i = 0; i < m->bins * m->frames; i++)
            features[i] = 2 * random_uniform(r + 1, i) - 1;
        batch_add(b, ids, labels, TOKENS - r, features, m->bins, m->frames, 0, r + 1, why);
    }
    free(features);
}

/* How far the norm from the squares that the products left is from one of the gradients as they lie there. */
static double norm_off(const struct compute *k, struct params *ps, size_t *known)
{
    double quick = grad_norm(k, ps, 1);
    bool *was = calloc(ps->n, sizeof *was);
    for (size_t i = 0; i < ps->n; i++) {
        was[i] = ps->p[i]->squared;
        *known += was[i];
        ps->p[i]->squared = false;
    }
    double plain = grad_norm(k, ps, 1);
    for (size_t i = 0; i < ps->n; i++)
        ps->p[i]->squared = was[i];
    free(was);
    return fabs(quick - plain) / plain;
}

static struct trained train_with(bool bf16, int threads, bool recompute, size_t lora, bool lent)
{
    struct trained t = { 0 };
    struct compute k = { .team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")), .bf16 = bf16 };
    char why[WHY] = "";
    t.m = model_new(config, strlen(config), why);
    params_reserve(&t.m->params, false, why);
    for (size_t i = 0; i < t.m->params.n; i++)
        param_init(t.m->params.p[i], 3);
    if (lora) {
        struct lora_options o = { .r = lora, .alpha = 8, .targets = "q_proj,fc1" };
        lora_attach(&t.m->params, &o, why);
    }
    t.m->params.lent = lent;
    params_reserve(&t.m->params, true, why);
    for (size_t i = 0; i < t.m->params.n; i++)
        if (t.m->params.p[i]->kind == PARAM_ADAPTER) {
            param_init(t.m->params.p[i], 3);
            for (size_t j = 0; j < t.m->params.p[i]->count; j++)
                t.m->params.p[i]->data[j] += 0.01f;
        }
    struct batch b;
    batch_make(&b, t.m, why);
    struct tape *tape = tape_new(&k);
    tape->recompute = recompute;
    tape->poison = true;
    struct adamw a = { .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1 };
    for (size_t i = 0; i < t.m->params.n; i++)
        t.n += t.m->params.p[i]->m ? t.m->params.p[i]->count : 0;
    t.grad = calloc(t.n, sizeof *t.grad);
    for (int step = 0; step < 3; step++) {
        struct loss loss = { 0 };
        if (model_step(tape, t.m, &b, TAPE_TRAIN, 1, &loss, why))
            ok(false, "a step: %s", why);
        t.loss[step] = loss.sum / (double)loss.tokens;
        size_t at = 0;
        for (size_t i = 0; step == 0 && i < t.m->params.n; i++) {
            struct param *p = t.m->params.p[i];
            if (p->grad && p->has_grad)
                memcpy(t.grad + at, p->grad, p->count * sizeof *t.grad);
            at += p->m ? p->count : 0;
        }
        t.off = worse(t.off, norm_off(&k, &t.m->params, &t.known));
        adamw_step(&k, &t.m->params, &a, (double)loss.tokens);
    }
    tape_free(tape);
    batch_release(&b);
    team_free(k.team);
    return t;
}

static struct trained train(bool bf16, int threads, bool recompute, size_t lora)
{
    return train_with(bf16, threads, recompute, lora, false);
}

static void trained_free(struct trained *t)
{
    free(t->grad);
    model_free(t->m);
}

static bool same_weights(const struct trained *a, const struct trained *b)
{
    for (size_t i = 0; i < a->m->params.n; i++) {
        const struct param *p = a->m->params.p[i], *q = b->m->params.p[i];
        if (memcmp(p->data, q->data, p->count * sizeof *p->data))
            return printf("# '%s' differs\n", p->name), false;
    }
    return true;
}

static void compare(size_t lora)
{
    struct trained f32 = train(false, 2, false, lora), bf16 = train(true, 1, false, lora),
                   three = train(true, 3, false, lora);
    struct trained again = train(true, 2, true, lora);
    struct trained lent[] = { train_with(true, 2, false, lora, true), train_with(true, 1, true, lora, true),
                              train_with(false, 2, false, lora, true) };
    const char *what = lora ? "adapters" : "all weights";
    double d = 0, size = 0;
    for (size_t i = 0; i < f32.n; i++) {
        double x = (double)bf16.grad[i] - (double)f32.grad[i];
        d += x * x;
        size += (double)f32.grad[i] * (double)f32.grad[i];
    }
    ok(sqrt(d / size) <= 0.02, "%s: the gradient is near float32's: %.1e of its length (limit 2e-2)", what, sqrt(d / size));
    for (int i = 0; i < 3; i++)
        ok(fabs(bf16.loss[i] - f32.loss[i]) <= 2e-3 * f32.loss[i], "%s: so is the loss of step %d: %.5f, %.5f", what, i,
           bf16.loss[i], f32.loss[i]);
    ok(bf16.loss[2] < bf16.loss[0], "%s: it falls", what);
    ok(bf16.known > 0 && bf16.off <= 1e-6, "%s: the norm from %zu sums of squares that the products made, off by %.0e", what,
       bf16.known, bf16.off);
    ok(same_weights(&bf16, &three), "%s: one thread and three train the same bits", what);
    ok(same_weights(&bf16, &again), "%s: so does recomputing layers", what);
    for (int i = 0; i < 3; i++) {
        const struct trained *own = i < 2 ? &bf16 : &f32;
        ok(same_weights(own, lent + i) && !memcmp(own->grad, lent[i].grad, own->n * sizeof *own->grad),
           "%s: so do gradients in the memory of activations, %s%s", what, i < 2 ? "bfloat16" : "float32",
               i == 1 ? ", layers computed again" : "");
        trained_free(lent + i);
    }
    trained_free(&f32), trained_free(&bf16), trained_free(&three), trained_free(&again);
}

int main(void)
{
    compare(0);
    compare(4);
    return done();
}
