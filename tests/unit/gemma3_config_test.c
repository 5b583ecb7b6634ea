/* tests/unit/gemma3_config_test.c - Gemma 3's config.json of every age means what transformers makes of it */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/models/gemma3/gemma3.h"
#include "tests/unit/golden.h"

#define CASES "tests/golden/gemma3-config/"

static struct compute compute;

static struct model *configured(const json_t *config, char why[WHY])
{
    char *text = json_dumps(config, 0);
    struct model *m = model_new(text, strlen(text), why);
    free(text);
    return m;
}

static void check_size(const json_t *want, const char *key, size_t got)
{
    is_int((long long)got, json_integer_value(json_object_get(want, key)), key);
}

static void check_real(const json_t *want, const char *key, double got)
{
    double w = json_number_value(json_object_get(want, key));
    ok(fabs(got - w) <= 1e-7 * fabs(w), "%s %.9g (want %.9g)", key, got, w);
}

/* Position 1 turns pair i by inv_freq[i]. */
struct angles { float theta, factor; size_t d; float *to; };

static void angles_run(struct tape *t, void *ctx)
{
    const struct angles *a = ctx;
    static const int32_t one[] = { 1 };
    struct tensor *x = tape_rope_table(t, one, 1, a->d, a->theta, a->factor);
    for (size_t i = 0; i < a->d / 2 && !t->dry; i++)
        a->to[i] = atan2f(x->data[a->d / 2 + i], x->data[i]);
}

static void check_rope(const struct gemma3 *g, const json_t *want, enum gemma3_kind kind, const char *name)
{
    const json_t *rope = json_object_get(json_object_get(want, "rope"), name);
    const json_t *freq = json_object_get(rope, "inv_freq");
    char why[WHY] = "";
    check_real(rope, "rope_theta", (double)g->rope[kind].theta);
    check_real(rope, "factor", (double)g->rope[kind].factor);
    struct angles a = { g->rope[kind].theta, g->rope[kind].factor, g->head_dim, calloc(g->head_dim, sizeof(float)) };
    struct tape *t = tape_new(&compute);
    size_t good = 0;
    ok(tape_run(t, TAPE_INFER, 0, angles_run, &a, why) == 0, "a table of angles %s", why);
    for (size_t i = 0; i < g->head_dim / 2; i++) {
        double w = json_number_value(json_array_get(freq, i));
        good += fabs((double)a.to[i] - w) <= 1e-6 * w;
    }
    ok(json_array_size(freq) == g->head_dim / 2 && good == g->head_dim / 2, "%s: %zu of %zu inverse frequencies within 1e-6",
       name, good, g->head_dim / 2);
    tape_free(t);
    free(a.to);
}

static void check_kinds(const struct gemma3 *g, const json_t *want)
{
    const json_t *types = json_object_get(want, "layer_types");
    size_t good = 0;
    for (size_t i = 0; i < json_array_size(types) && i < g->n_layers; i++)
        good += !strcmp(json_string_value(json_array_get(types, i)),
                        g->layers[i].kind == GEMMA3_FULL ? "full_attention" : "sliding_attention");
    ok(good == g->n_layers && json_array_size(types) == g->n_layers, "layer_types: %zu of %zu", good, g->n_layers);
}

static void test_case(const char *name)
{
    char path[200], why[WHY] = "";
    snprintf(path, sizeof path, CASES "%s/config.json", name);
    json_t *config = golden_json(path);
    snprintf(path, sizeof path, CASES "%s/resolved.json", name);
    json_t *want = golden_json(path);
    struct model *m = configured(config, why);
    if (ok(m != NULL, "%s is read %s", name, why)) {
        const struct gemma3 *g = m->config;
        double cap = json_number_value(json_object_get(want, "final_logit_softcapping"));
        check_size(want, "vocab_size", m->vocab);
        check_size(want, "hidden_size", g->hidden);
        check_size(want, "intermediate_size", g->ffn);
        check_size(want, "num_hidden_layers", m->layers);
        check_size(want, "num_attention_heads", g->heads);
        check_size(want, "num_key_value_heads", g->kv_heads);
        check_size(want, "head_dim", g->head_dim);
        check_size(want, "max_position_embeddings", m->max_tokens);
        check_size(want, "sliding_window", g->window);
        check_size(want, "pad_token_id", (size_t)m->pad_id);
        check_real(want, "rms_norm_eps", (double)g->eps);
        check_real(want, "attention_scale", (double)g->scale);
        ok(fabs((double)m->output_cap - cap) <= 1e-7 * cap, "final_logit_softcapping %g", cap);
        ok(m->output == g->tokens, "the output layer is the table of tokens");
        check_kinds(g, want);
        check_rope(g, want, GEMMA3_SLIDING, "sliding_attention");
        check_rope(g, want, GEMMA3_FULL, "full_attention");
        model_free(m);
    }
    json_decref(config);
    json_decref(want);
}

/* One key of odd-pattern changed: model_new refuses it with these words. */
static void refused(const char *key, const char *value, const char *words)
{
    char why[WHY] = "";
    json_t *config = golden_json(CASES "odd-pattern/config.json");
    json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
    struct model *m = configured(config, why);
    ok(!m && strstr(why, words), "%s = %s is refused: %s", key, value, why);
    model_free(m);
    json_decref(config);
}

int main(void)
{
    static const char *const names[] = { "1b-first-release", "270m-list", "270m-release-5", "27b-text", "4b-multimodal",
                                         "defaults", "odd-pattern", "one-rope", "rope-and-scaling" };
    golden_compute(&compute, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        test_case(names[i]);
    refused("use_bidirectional_attention", "true", "use_bidirectional_attention");
    refused("attention_dropout", "0.1", "attention_dropout");
    refused("hidden_activation", "\"gelu\"", "gelu_pytorch_tanh");
    refused("num_key_value_heads", "4", "num_attention_heads");
    refused("head_dim", "23", "head_dim");
    refused("layer_types", "[\"full_attention\"]", "8 layers");
    refused("layer_types", "[0, 1, 2, 3, 4, 5, 6, 7]", "layer_types");
    refused("rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 4}", "yarn");
    refused("rope_parameters", "{\"full_attention\": 3}", "full_attention");
    refused("rms_norm_eps", "\"small\"", "rms_norm_eps");
    refused("model_type", "\"gemma3\"", "text_config");
    team_free(compute.team);
    return done();
}
