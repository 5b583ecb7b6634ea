/* tests/unit/gemma3_tower_test.c - gemma3 with a tower: every tensor is known, texts are the text model's */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/param/lora.h"
#include "tests/unit/golden.h"

#define CASE "tests/golden/gemma3-image/model"

static struct compute compute;

static void test_names(const struct model *m)
{
    struct safetensors st;
    size_t known = 0, frozen = 0;
    golden_open(&st, CASE "/model.safetensors");
    for (size_t i = 0; i < m->params.n; i++) {
        const struct param *p = m->params.p[i];
        const struct st_tensor *t = safetensors_find(&st, p->name);
        bool same = t && t->rank == p->rank;
        for (int k = 0; same && k < p->rank; k++)
            same = t->shape[k] == p->shape[k];
        if (!same)
            printf("# '%s' is not in the checkpoint, or has another shape\n", p->name);
        known += same;
        frozen += !p->trained;
    }
    ok(known == st.n && known == m->params.n, "all %zu tensors of the checkpoint are known, with their shapes: %zu",
       st.n, known);
    is_int((long long)frozen, 39, "tensors of tower and projector, which are never trained");
    safetensors_close(&st);
}

static struct model *text_alone(const struct model *whole)
{
    json_t *c = golden_json(CASE "/config.json");
    char *text = json_dumps(json_object_get(c, "text_config"), 0), why[WHY] = "";
    struct model *m = model_new(text, strlen(text), why);
    if (!ok(m && params_reserve(&m->params, true, why) == 0, "its text_config is a model of its own %s", why))
        exit(done());
    for (size_t i = 0; i < m->params.n; i++) {
        char name[300];
        snprintf(name, sizeof name, "language_model.%s", m->params.p[i]->name);
        const struct param *from = params_find((struct params *)(uintptr_t)&whole->params, name);
        memcpy(m->params.p[i]->data, from->data, from->count * sizeof *from->data);
    }
    free(text);
    json_decref(c);
    return m;
}

static int step(struct model *m, int32_t one, struct loss *l, char why[WHY])
{
    int32_t ids[] = { 2, 5, 17, 42, 99, 3, one, 8 };
    struct batch b;
    batch_reserve(&b, 1, 8, 0, 0, why);
    batch_add(&b, ids, ids, 8, NULL, 0, 0, 0, 0, why);
    struct tape *t = tape_new(&compute);
    int status = model_step(t, m, &b, TAPE_TRAIN, 1, l, why);
    tape_free(t);
    batch_release(&b);
    return status;
}

int main(void)
{
    char why[WHY] = "";
    struct loss whole = { 0 }, alone = { 0 };
    golden_compute(&compute, 2);
    struct model *m = golden_model(CASE);
    test_names(m);
    struct model *text = text_alone(m);
    ok(step(m, 60, &whole, why) == 0 && step(text, 60, &alone, why) == 0, "both take a step %s", why);
    ok(whole.tokens == 7 && whole.nll == alone.nll, "with the same loss: %.6f and %.6f", whole.nll, alone.nll);
    ok(step(m, 124, &whole, why) < 0 && strstr(why, "image"), "a piece of an image is refused: %s", why);
    struct lora_options o = { .r = 2, .alpha = 2, .targets = "q_proj,out_proj,fc1" };
    is_int(lora_attach(&m->params, &o, why), 3, "adapters go to the text layers alone");
    model_free(m);
    model_free(text);

    json_t *c = golden_json(CASE "/config.json");
    json_object_set_new(c, "transformers_version", json_string("4.50.0.dev0"));
    char *config = json_dumps(c, 0);
    m = model_new(config, strlen(config), why);
    ok(m && params_find(&m->params, "vision_tower.vision_model.post_layernorm.weight"),
       "older files name the tower otherwise %s", why);
    model_free(m);
    free(config);
    json_decref(c);
    team_free(compute.team);
    return done();
}
