/* kernels/models/whisper/whisper.h - Whisper's configuration and parameters; private to this folder */
#ifndef PENSTOCK_WHISPER_H
#define PENSTOCK_WHISPER_H

#include "kernels/models/arch.h"

struct affine { struct param *w, *b; };

struct whisper_attention {
    struct affine norm, q, k, v, out;       /* k has no bias */
};
struct whisper_layer {
    struct whisper_attention self, cross;   /* cross: decoder only */
    struct affine last_norm, fc1, fc2;
};

struct whisper {
    size_t d, bins, source, positions, vocab;
    size_t encoder_layers, decoder_layers, encoder_heads, decoder_heads, encoder_ffn, decoder_ffn;
    int32_t pad, start;
    float dropout, attention_dropout, activation_dropout, encoder_layerdrop, decoder_layerdrop;
    float init_std;
    struct {                                /* SpecAugment: D. Park and others, 2019 */
        bool on;
        double time_prob, feature_prob;
        size_t time_length, time_least, feature_length, feature_least;
    } augment;

    struct affine conv1, conv2, encoder_norm, decoder_norm;
    struct param *encoder_positions, *decoder_positions, *tokens;
    struct whisper_layer *encoder, *decoder;
};

/* config.c */
int whisper_configure(struct model *m, const json_t *config, char why[WHY]);
void whisper_release(void *config);
/* augment.c: features [B * frames, bins] with spans of time and bins zeroed, in training only. */
struct tensor *whisper_augment(struct tape *t, const struct whisper *w, const struct batch *b, struct tensor *x);

#endif
