/* kernels/models/gemma3/gemma3.h - Gemma 3's configuration and parameters; private to this folder */
#ifndef PENSTOCK_GEMMA3_H
#define PENSTOCK_GEMMA3_H

#include "kernels/models/arch.h"

struct gemma3_linear { struct param *w, *b; };      /* b NULL unless attention_bias */

enum gemma3_kind { GEMMA3_SLIDING, GEMMA3_FULL };

struct gemma3_rope { float theta, factor; };        /* angles are divided by factor */

struct gemma3_layer {
    enum gemma3_kind kind;
    struct param *input_norm, *post_attention_norm, *pre_ffn_norm, *post_ffn_norm;
    struct gemma3_linear q, k, v, out;
    struct param *q_norm, *k_norm;                  /* [head_dim] */
    struct param *gate, *up, *down;
};

struct gemma3 {
    size_t vocab, hidden, ffn, n_layers, heads, kv_heads, head_dim, positions;
    size_t window;                                  /* keys a sliding layer sees, its own included */
    int32_t pad;                                    /* whose lookup has no gradient; -1 none */
    int32_t image;                                  /* stands for a piece of an image; -1: the model has no tower */
    float eps;
    float scale;                                    /* of the scores: query_pre_attn_scalar^(-1/2) */
    float init_std;
    bool attention_bias, tied;
    struct gemma3_rope rope[2];                     /* by kind */

    struct param *tokens, *norm;
    struct gemma3_layer *layers;
};

/* config.c */
int gemma3_configure(struct model *m, const json_t *config, char why[WHY]);
void gemma3_release(void *config);
/* tower.c: the parameters of what sees, by the whole config.json. */
int gemma3_tower_add(struct model *m, const struct gemma3 *g, const json_t *config, char why[WHY]);

#endif
