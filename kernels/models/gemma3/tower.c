/* kernels/models/gemma3/tower.c - the parts of a gemma3 checkpoint that see: named, carried, not computed
 *
 * Files of 4b and larger hold a SigLIP tower and a projector beside the text model.
 * Texts train without them; they stay as they are and go into every checkpoint, so
 * that it is a whole model again.  Releases of transformers before 5 write
 * `vision_tower.vision_model.` where later ones write `vision_tower.`; the
 * configuration's transformers_version tells which. */
#include "kernels/models/gemma3/gemma3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tower { size_t hidden, ffn, layers, channels, image, patch; };

static int sizes_read(struct tower *v, const json_t *c, char why[WHY])
{
    struct { const char *key; size_t value, max, *to; } keys[] = {
        { "hidden_size", 768, 1 << 16, &v->hidden },    { "intermediate_size", 3072, 1 << 18, &v->ffn },
        { "num_hidden_layers", 12, 1024, &v->layers },  { "num_channels", 3, 64, &v->channels },
        { "image_size", 224, 1 << 14, &v->image },      { "patch_size", 16, 1 << 10, &v->patch },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        *keys[i].to = keys[i].value;
        if (config_size(c, keys[i].key, 1, keys[i].max, keys[i].to, why))
            return -1;
    }
    if (v->image < v->patch) {
        snprintf(why, WHY, "'image_size' %zu is less than 'patch_size' %zu", v->image, v->patch);
        return -1;
    }
    bool head = false;
    if (config_bool(c, "vision_use_head", &head, why))
        return -1;
    if (head) {
        snprintf(why, WHY, "'vision_use_head' is true; only towers without a head are there");
        return -1;
    }
    return 0;
}

/* Never trained, whatever is asked: nothing computes their gradient. */
static void carried(struct model *m, const char *prefix, const char *name, int rank, const size_t *shape)
{
    char whole[200];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    struct param *p = params_add(&m->params, whole, rank == 1 ? PARAM_VECTOR : PARAM_CONV, rank, shape);
    if (!p) {
        m->failed = true;
        return;
    }
    p->buffer = true;
    p->trained = false;
}

static void affine(struct model *m, const char *prefix, const char *name, size_t out, size_t in)
{
    char part[100];
    snprintf(part, sizeof part, "%s.weight", name);
    carried(m, prefix, part, in ? 2 : 1, (const size_t[]){ out, in });
    snprintf(part, sizeof part, "%s.bias", name);
    carried(m, prefix, part, 1, &out);
}

static void layer_add(struct model *m, const struct tower *v, const char *prefix)
{
    affine(m, prefix, "layer_norm1", v->hidden, 0);
    affine(m, prefix, "layer_norm2", v->hidden, 0);
    affine(m, prefix, "self_attn.q_proj", v->hidden, v->hidden);
    affine(m, prefix, "self_attn.k_proj", v->hidden, v->hidden);
    affine(m, prefix, "self_attn.v_proj", v->hidden, v->hidden);
    affine(m, prefix, "self_attn.out_proj", v->hidden, v->hidden);
    affine(m, prefix, "mlp.fc1", v->ffn, v->hidden);
    affine(m, prefix, "mlp.fc2", v->hidden, v->ffn);
}

int gemma3_tower_add(struct model *m, const struct gemma3 *g, const json_t *config, char why[WHY])
{
    const char *version = json_string_value(json_object_get(config, "transformers_version"));
    const char *prefix = version && strtol(version, NULL, 10) < 5 ? "vision_tower.vision_model." : "vision_tower.";
    struct tower v;
    if (sizes_read(&v, json_object_get(config, "vision_config"), why))
        return -1;
    size_t side = v.image / v.patch;
    carried(m, prefix, "embeddings.patch_embedding.weight", 4, (const size_t[]){ v.hidden, v.channels, v.patch, v.patch });
    carried(m, prefix, "embeddings.patch_embedding.bias", 1, &v.hidden);
    carried(m, prefix, "embeddings.position_embedding.weight", 2, (const size_t[]){ side * side, v.hidden });
    for (size_t i = 0; i < v.layers; i++) {
        char layer[80];
        snprintf(layer, sizeof layer, "%sencoder.layers.%zu.", prefix, i);
        layer_add(m, &v, layer);
    }
    affine(m, prefix, "post_layernorm", v.hidden, 0);
    carried(m, "multi_modal_projector.", "mm_input_projection_weight", 2, (const size_t[]){ v.hidden, g->hidden });
    carried(m, "multi_modal_projector.", "mm_soft_emb_norm.weight", 1, &v.hidden);
    return 0;
}
