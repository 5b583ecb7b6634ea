/* kernels/models/gemma3/config.c - Gemma 3's config.json and its list of parameters
 *
 * Files of several ages differ in how they spell rotary angles and layer types, and
 * leave defaults out; defaults are transformers' Gemma3TextConfig.  A file of
 * model_type gemma3 (4b and larger) has all this in text_config, and more besides:
 * tower.c. */
#include "kernels/models/gemma3/gemma3.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1 << 22 };

/* --- numbers ------------------------------------------------------------------------ */
static int sizes_read(struct gemma3 *g, const json_t *c, char why[WHY])
{
    struct { const char *key; size_t value, max, *to; } keys[] = {
        { "vocab_size", 262208, MANY, &g->vocab },
        { "hidden_size", 2304, 1 << 17, &g->hidden },
        { "intermediate_size", 9216, 1 << 20, &g->ffn },
        { "num_hidden_layers", 26, 1024, &g->n_layers },
        { "num_attention_heads", 8, 1024, &g->heads },
        { "num_key_value_heads", 4, 1024, &g->kv_heads },
        { "head_dim", 256, 4096, &g->head_dim },
        { "max_position_embeddings", 131072, 1 << 24, &g->positions },
        { "sliding_window", 4096, 1 << 24, &g->window },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        *keys[i].to = keys[i].value;
        if (config_size(c, keys[i].key, 1, keys[i].max, keys[i].to, why))
            return -1;
    }
    if (g->heads % g->kv_heads || g->head_dim % 2) {
        snprintf(why, WHY, "'num_attention_heads' %zu must be a multiple of 'num_key_value_heads' %zu, 'head_dim' %zu even",
                 g->heads, g->kv_heads, g->head_dim);
        return -1;
    }
    return 0;
}

static int scalars_read(struct model *m, struct gemma3 *g, const json_t *c, char why[WHY])
{
    double eps = 1e-6, scalar = 256, cap = 0, std = 0.02;
    g->tied = true;
    g->pad = 0;
    if (config_real(c, "rms_norm_eps", 0, 1, &eps, why) ||
        config_real(c, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, why) ||
        config_real(c, "final_logit_softcapping", 1e-3, 1e9, &cap, why) ||
            config_real(c, "initializer_range", 0, 10, &std, why) ||
        config_bool(c, "attention_bias", &g->attention_bias, why) || config_bool(c, "tie_word_embeddings", &g->tied, why) ||
        config_id(c, "pad_token_id", &g->pad, why))
        return -1;
    g->eps = (float)eps;
    g->scale = (float)(1 / sqrt(scalar));
    g->init_std = (float)std;
    m->output_cap = (float)cap;
    return 0;
}

/* What would change the computation and is not there. */
static int absent_only(const json_t *c, char why[WHY])
{
    bool both_ways = false;
    double dropout = 0;
    if (config_bool(c, "use_bidirectional_attention", &both_ways, why) ||
        config_real(c, "attention_dropout", 0, 1, &dropout, why))
        return -1;
    const char *act = json_string_value(json_object_get(c, "hidden_activation"));
    if (both_ways)
        snprintf(why, WHY, "'use_bidirectional_attention' is true: that is an embedding model, only decoders are there");
    else if (dropout > 0)
        snprintf(why, WHY, "'attention_dropout' is %g; only 0 is there", dropout);
    else if (act && strcmp(act, "gelu_pytorch_tanh"))
        snprintf(why, WHY, "'hidden_activation' is '%.40s'; only 'gelu_pytorch_tanh' is there", act);
    else
        return 0;
    return -1;
}

/* --- rotary angles --------------------------------------------------------------------- */
/* rope_type (older: type) and factor of an object; NULL: nothing changes. */
static int scaling_read(const json_t *c, const char *where, struct gemma3_rope *r, char why[WHY])
{
    if (!c || json_is_null(c))
        return 0;
    const json_t *type = json_object_get(c, "rope_type");
    const char *name = json_string_value(type ? type : json_object_get(c, "type"));
    double factor = 1;
    if (config_real(c, "factor", 1e-3, 1e6, &factor, why))
        return -1;
    if (name && strcmp(name, "default") && strcmp(name, "linear")) {
        snprintf(why, WHY, "'%s': rope_type '%.40s' is not there, only 'default' and 'linear'", where, name);
        return -1;
    }
    r->factor = name && !strcmp(name, "linear") ? (float)factor : 1;
    return 0;
}

static int theta_read(const json_t *c, const char *key, double value, struct gemma3_rope *r, char why[WHY])
{
    if (config_real(c, key, 1, 1e12, &value, why))
        return -1;
    *r = (struct gemma3_rope){ (float)value, 1 };
    return 0;
}

/* New files name each layer type, or one of them; scaling beside that, as old files have it, is for the full
 * layers alone. */
static int ropes_read(struct gemma3 *g, const json_t *c, char why[WHY])
{
    static const char *const names[] = { "sliding_attention", "full_attention" };
    const json_t *new = json_object_get(c, "rope_parameters");
    if (theta_read(c, "rope_local_base_freq", 10000, &g->rope[GEMMA3_SLIDING], why) ||
        theta_read(c, "rope_theta", 1000000, &g->rope[GEMMA3_FULL], why))
        return -1;
    for (int kind = 0; kind < 2; kind++) {
        const json_t *one = json_object_get(new, names[kind]);
        double theta = (double)g->rope[kind].theta;
        if (one && !json_is_null(one) && !json_is_object(one)) {
            snprintf(why, WHY, "'rope_parameters': '%s' is no object", names[kind]);
            return -1;
        }
        if (theta_read(one, "rope_theta", theta, &g->rope[kind], why) || scaling_read(one, names[kind], &g->rope[kind], why))
            return -1;
    }
    return scaling_read(json_object_get(c, "rope_scaling"), "rope_scaling", &g->rope[GEMMA3_FULL], why);
}

/* --- layers ------------------------------------------------------------------------------ */
/* By name, or every sliding_window_pattern-th one full. */
static int kinds_read(struct gemma3 *g, const json_t *c, char why[WHY])
{
    const json_t *types = json_object_get(c, "layer_types");
    size_t pattern = 6;
    if (config_size(c, "_sliding_window_pattern", 1, MANY, &pattern, why) ||
        config_size(c, "sliding_window_pattern", 1, MANY, &pattern, why))
        return -1;
    if (types && !json_is_null(types) && json_array_size(types) != g->n_layers) {
        snprintf(why, WHY, "'layer_types' must name %zu layers", g->n_layers);
        return -1;
    }
    for (size_t i = 0; i < g->n_layers; i++) {
        const char *name = json_string_value(json_array_get(types, i));
        bool full = name ? !strcmp(name, "full_attention") : (i + 1) % pattern == 0;
        if (json_is_array(types) && (!name || (!full && strcmp(name, "sliding_attention")))) {
            snprintf(why, WHY, "'layer_types': '%.40s' is not there, only 'sliding_attention' and 'full_attention'",
                     name ? name : "");
            return -1;
        }
        g->layers[i].kind = full ? GEMMA3_FULL : GEMMA3_SLIDING;
    }
    return 0;
}

static struct gemma3_linear projection(struct model *m, const struct gemma3 *g, size_t out, size_t in,
                                       const char *prefix, const char *name)
{
    struct gemma3_linear l = { .w = model_linear(m, out, in, "%sself_attn.%s.weight", prefix, name) };
    if (g->attention_bias)
        l.b = model_vector(m, out, INIT_ZERO, "%sself_attn.%s.bias", prefix, name);
    return l;
}

/* Norms multiply by 1 + w: zero is the identity. */
static void layer_add(struct model *m, struct gemma3 *g, struct gemma3_layer *l, const char *p)
{
    size_t h = g->hidden, q = g->heads * g->head_dim, kv = g->kv_heads * g->head_dim;
    l->q = projection(m, g, q, h, p, "q_proj");
    l->k = projection(m, g, kv, h, p, "k_proj");
    l->v = projection(m, g, kv, h, p, "v_proj");
    l->out = projection(m, g, h, q, p, "o_proj");
    l->q_norm = model_vector(m, g->head_dim, INIT_ZERO, "%sself_attn.q_norm.weight", p);
    l->k_norm = model_vector(m, g->head_dim, INIT_ZERO, "%sself_attn.k_norm.weight", p);
    l->gate = model_linear(m, g->ffn, h, "%smlp.gate_proj.weight", p);
    l->up = model_linear(m, g->ffn, h, "%smlp.up_proj.weight", p);
    l->down = model_linear(m, h, g->ffn, "%smlp.down_proj.weight", p);
    l->input_norm = model_vector(m, h, INIT_ZERO, "%sinput_layernorm.weight", p);
    l->post_attention_norm = model_vector(m, h, INIT_ZERO, "%spost_attention_layernorm.weight", p);
    l->pre_ffn_norm = model_vector(m, h, INIT_ZERO, "%spre_feedforward_layernorm.weight", p);
    l->post_ffn_norm = model_vector(m, h, INIT_ZERO, "%spost_feedforward_layernorm.weight", p);
}

static void params_list(struct model *m, struct gemma3 *g, const char *prefix)
{
    g->tokens = model_table(m, g->vocab, g->hidden, "%smodel.embed_tokens.weight", prefix);
    for (size_t i = 0; i < g->n_layers; i++) {
        char name[80];
        snprintf(name, sizeof name, "%smodel.layers.%zu.", prefix, i);
        layer_add(m, g, g->layers + i, name);
    }
    g->norm = model_vector(m, g->hidden, INIT_ZERO, "%smodel.norm.weight", prefix);
    m->output = g->tied ? g->tokens : model_linear(m, g->vocab, g->hidden, "%slm_head.weight", prefix);
    if (m->output)
        m->output->last = true;
    for (size_t i = 0; i < m->params.n; i++)
        m->params.p[i]->init_scale = g->init_std;
}

int gemma3_configure(struct model *m, const json_t *config, char why[WHY])
{
    struct gemma3 *g = m->config;
    bool images = !strcmp(m->model_type, "gemma3");
    const json_t *c = images ? json_object_get(config, "text_config") : config;
    if (!json_is_object(c)) {
        snprintf(why, WHY, "no 'text_config'");
        return -1;
    }
    if (sizes_read(g, c, why) || scalars_read(m, g, c, why) || absent_only(c, why) || ropes_read(g, c, why))
        return -1;
    g->layers = calloc(g->n_layers, sizeof *g->layers);
    if (!g->layers) {
        m->failed = true;
        return 0;
    }
    if (kinds_read(g, c, why))
        return -1;
    m->vocab = g->vocab;
    m->max_tokens = g->positions;
    m->layers = g->n_layers;
    m->kv_width = g->kv_heads * g->head_dim;
    m->pad_id = g->pad;
    m->shift = true;
    params_list(m, g, images ? "language_model." : "");
    g->image = images ? 262144 : -1;
    if (images && (config_id(config, "image_token_index", &g->image, why) ||
                   config_id(config, "image_token_id", &g->image, why)))
        return -1;
    return images ? gemma3_tower_add(m, g, config, why) : 0;
}

void gemma3_release(void *config)
{
    struct gemma3 *g = config;
    free(g->layers);
}
