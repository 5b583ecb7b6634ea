/* kernels/models/whisper/config.c - Whisper's config.json and its list of parameters
 *
 * Defaults are transformers' WhisperConfig; names those of its safetensors files. */
#include "kernels/models/whisper/whisper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1 << 20 };

static int sizes_read(struct whisper *w, const json_t *c, char why[WHY])
{
    struct { const char *key; size_t value, max, *to; } keys[] = {
        { "vocab_size", 51865, MANY, &w->vocab },
        { "num_mel_bins", 80, 1024, &w->bins },
        { "d_model", 384, 16384, &w->d },
        { "encoder_layers", 4, 512, &w->encoder_layers },
        { "decoder_layers", 4, 512, &w->decoder_layers },
        { "encoder_attention_heads", 6, 1024, &w->encoder_heads },
        { "decoder_attention_heads", 6, 1024, &w->decoder_heads },
        { "encoder_ffn_dim", 1536, MANY, &w->encoder_ffn },
        { "decoder_ffn_dim", 1536, MANY, &w->decoder_ffn },
        { "max_source_positions", 1500, 100000, &w->source },
        { "max_target_positions", 448, 100000, &w->positions },
        { "mask_time_length", 10, MANY, &w->augment.time_length },
        { "mask_feature_length", 10, MANY, &w->augment.feature_length },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        *keys[i].to = keys[i].value;
        if (config_size(c, keys[i].key, 1, keys[i].max, keys[i].to, why))
            return -1;
    }
    w->augment.time_least = 2;
    if (config_size(c, "mask_time_min_masks", 0, MANY, &w->augment.time_least, why) ||
        config_size(c, "mask_feature_min_masks", 0, MANY, &w->augment.feature_least, why))
        return -1;
    if (w->d % w->encoder_heads || w->d % w->decoder_heads || w->d % 2) {
        snprintf(why, WHY, "'d_model' %zu is not a multiple of the numbers of heads %zu and %zu", w->d, w->encoder_heads,
                 w->decoder_heads);
        return -1;
    }
    return 0;
}

static int rates_read(struct whisper *w, const json_t *c, char why[WHY])
{
    struct { const char *key; double value, max; float *to; } keys[] = {
        { "dropout", 0, 0.999, &w->dropout },
        { "attention_dropout", 0, 0.999, &w->attention_dropout },
        { "activation_dropout", 0, 0.999, &w->activation_dropout },
        { "encoder_layerdrop", 0, 0.999, &w->encoder_layerdrop },
        { "decoder_layerdrop", 0, 0.999, &w->decoder_layerdrop },
        { "init_std", 0.02, 10, &w->init_std },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double v = keys[i].value;
        if (config_real(c, keys[i].key, 0, keys[i].max, &v, why))
            return -1;
        *keys[i].to = (float)v;
    }
    w->augment.time_prob = 0.05;
    if (config_bool(c, "apply_spec_augment", &w->augment.on, why) ||
        config_real(c, "mask_time_prob", 0, 1, &w->augment.time_prob, why) ||
        config_real(c, "mask_feature_prob", 0, 1, &w->augment.feature_prob, why))
        return -1;
    const char *act = json_string_value(json_object_get(c, "activation_function"));
    if (act && strcmp(act, "gelu")) {
        snprintf(why, WHY, "'activation_function' is '%.40s'; only 'gelu' is there", act);
        return -1;
    }
    return 0;
}

/* --- parameters --------------------------------------------------------------------- */
static struct affine norm_add(struct model *m, size_t n, const char *name)
{
    return (struct affine){ model_vector(m, n, INIT_ONE, "%s.weight", name),
                            model_vector(m, n, INIT_ZERO, "%s.bias", name) };
}

static struct affine linear_add(struct model *m, size_t out, size_t in, bool bias, const char *prefix, const char *name)
{
    struct affine a = { .w = model_linear(m, out, in, "%s%s.weight", prefix, name) };
    if (bias)
        a.b = model_vector(m, out, INIT_ZERO, "%s%s.bias", prefix, name);
    return a;
}

static struct whisper_attention attention_add(struct model *m, size_t d, const char *layer, const char *name)
{
    char prefix[120], norm[140];
    snprintf(prefix, sizeof prefix, "%s%s.", layer, name);
    snprintf(norm, sizeof norm, "%s%s_layer_norm", layer, name);
    struct whisper_attention a = { .k = linear_add(m, d, d, false, prefix, "k_proj") };
    a.v = linear_add(m, d, d, true, prefix, "v_proj");
    a.q = linear_add(m, d, d, true, prefix, "q_proj");
    a.out = linear_add(m, d, d, true, prefix, "out_proj");
    a.norm = norm_add(m, d, norm);
    return a;
}

static struct whisper_layer *layers_add(struct model *m, size_t n, size_t d, size_t ffn, const char *stack, bool cross)
{
    struct whisper_layer *list = calloc(n, sizeof *list);
    if (!list)
        m->failed = true;
    for (size_t i = 0; list && i < n; i++) {
        char prefix[80], norm[100];
        snprintf(prefix, sizeof prefix, "model.%s.layers.%zu.", stack, i);
        snprintf(norm, sizeof norm, "%sfinal_layer_norm", prefix);
        list[i].self = attention_add(m, d, prefix, "self_attn");
        if (cross)
            list[i].cross = attention_add(m, d, prefix, "encoder_attn");
        list[i].fc1 = linear_add(m, ffn, d, true, prefix, "fc1");
        list[i].fc2 = linear_add(m, d, ffn, true, prefix, "fc2");
        list[i].last_norm = norm_add(m, d, norm);
    }
    return list;
}

static void params_list(struct model *m, struct whisper *w, bool tied)
{
    w->conv1.w = model_conv(m, w->d, w->bins, 3, "model.encoder.conv1.weight");
    w->conv1.b = model_vector(m, w->d, INIT_ZERO, "model.encoder.conv1.bias");
    w->conv2.w = model_conv(m, w->d, w->d, 3, "model.encoder.conv2.weight");
    w->conv2.b = model_vector(m, w->d, INIT_ZERO, "model.encoder.conv2.bias");
    w->encoder_positions = model_table(m, w->source, w->d, "model.encoder.embed_positions.weight");
    w->encoder = layers_add(m, w->encoder_layers, w->d, w->encoder_ffn, "encoder", false);
    w->encoder_norm = norm_add(m, w->d, "model.encoder.layer_norm");
    w->tokens = model_table(m, w->vocab, w->d, "model.decoder.embed_tokens.weight");
    w->decoder_positions = model_table(m, w->positions, w->d, "model.decoder.embed_positions.weight");
    w->decoder = layers_add(m, w->decoder_layers, w->d, w->decoder_ffn, "decoder", true);
    w->decoder_norm = norm_add(m, w->d, "model.decoder.layer_norm");
    /* no linear layer: adapters pass it by */
    m->output = tied ? w->tokens : model_table(m, w->vocab, w->d, "proj_out.weight");
    for (size_t i = 0; i < m->params.n; i++)
        m->params.p[i]->init_scale = w->init_std;
    if (w->encoder_positions) {
        w->encoder_positions->init = INIT_SINUSOID;
        w->encoder_positions->buffer = true;            /* sinusoids, as in OpenAI's code */
        w->encoder_positions->trained = false;
    }
}

int whisper_configure(struct model *m, const json_t *config, char why[WHY])
{
    struct whisper *w = m->config;
    bool tied = true;
    w->pad = 50256;
    w->start = 50257;
    if (sizes_read(w, config, why) || rates_read(w, config, why) || config_id(config, "pad_token_id", &w->pad, why) ||
        config_id(config, "decoder_start_token_id", &w->start, why) ||
        config_bool(config, "tie_word_embeddings", &tied, why))
        return -1;
    m->vocab = w->vocab;
    m->max_tokens = w->positions;
    m->bins = w->bins;
    m->source = w->source;
    m->frames = 2 * w->source;
    m->layers = w->decoder_layers;
    m->kv_width = w->d;
    m->pad_id = w->pad;
    m->start_id = w->start;
    params_list(m, w, tied);
    return 0;
}

void whisper_release(void *config)
{
    struct whisper *w = config;
    free(w->encoder);
    free(w->decoder);
}
