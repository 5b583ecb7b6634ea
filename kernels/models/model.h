/* kernels/models/model.h - a model by its config.json, whatever its architecture
 *
 * Nothing outside kernels/models knows an architecture's name: model_new looks
 * config.json's model_type up in one registry (registry.c).  An architecture is a
 * folder: its configuration, its list of parameters, its forward code. */
#ifndef PENSTOCK_MODEL_H
#define PENSTOCK_MODEL_H

#include "kernels/nn/ops.h"
#include "kernels/nn/param/param.h"

/* --- what goes in --------------------------------------------------------------- */
/* Rows one after another without padding: row r has tokens start[r] .. start[r + 1] - 1. */
struct batch {
    size_t rows;
    size_t *start;              /* rows + 1 */
    int32_t *ids;
    int32_t *labels;            /* as in the stream: each model's own convention; -100: not supervised */
    size_t bins, frames;        /* of the features, 0: none */
    float *features;            /* [rows, bins, frames], padded */
    size_t *heard;              /* [rows] frames that see sound */
    uint64_t *key;              /* [rows] of (seed, epoch, id): what augmentation is drawn from */
    size_t room_rows, room_tokens;
    void *memory;
};
/* Room for so many rows and tokens in all.  bins and frames: what the model wants (model->bins, ->frames). */
int batch_reserve(struct batch *b, size_t rows, size_t tokens, size_t bins, size_t frames, char why[WHY]);
void batch_release(struct batch *b);
void batch_clear(struct batch *b);
/* Adds a row: n ids and labels (labels NULL: none supervised), features [bins, heard] with heard <= frames,
 * padded with `padding`.  -1 with why: no room, too many frames; then b is as before. */
int batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, size_t n,
              const float *features, size_t bins, size_t heard, float padding, uint64_t key, char why[WHY]);

/* Are features [bins, frames] and their padding finite?  -1 with why: the first that is not. */
int features_finite(const float *x, size_t bins, size_t frames, float padding, char why[WHY]);

/* --- keys and values of what was seen, for generate ---------------------------------- */
struct cache {
    size_t rows, room;          /* room: positions a row may have */
    size_t *length;             /* [rows] positions seen */
    size_t layers;
    size_t width;               /* of a key, all heads */
    float **k, **v;             /* [layers] of [rows * room, width] */
    size_t source;              /* positions of the encoder's output; 0: no encoder */
    float **cross_k, **cross_v; /* [layers] of [heard * source, width], or NULL */
    size_t heard;               /* rows of features; rows / heard rows in a row (beams) share one */
    bool encoded;
    void *memory;
};

/* --- the model ------------------------------------------------------------------------ */
struct arch;
struct model {
    const struct arch *arch;
    const char *model_type;     /* as in config.json */
    struct params params;
    void *config;               /* the architecture's own struct */

    size_t vocab;
    size_t max_tokens;          /* positions a row may have (Whisper: max_target_positions) */
    size_t bins, frames;        /* of input_features; 0: takes none */
    size_t source;              /* encoder positions; 0: decoder only */
    size_t layers;              /* that have keys and values (of the decoder) */
    size_t kv_width;            /* floats of a key in a layer */
    int32_t pad_id, start_id;   /* -1: none */
    struct param *output;       /* [vocab, hidden], tied or not */
    float output_cap;           /* soft cap of the logits; 0: none */
    bool shift;                 /* labels are aligned with ids: position p predicts labels[p + 1] */
    bool failed;                /* out of memory while it was made */
    float smoothing;            /* --label-smoothing-factor: set by the trainer */
    size_t part;                /* positions (of the encoder, if there is one) whose rows pass a step at once, with more in
                                   parts: 4,096 or as many as keep half a GB, unless changed; memory is that of a part */
};

/* Reads config.json's text.  NULL with why: not JSON, unknown model_type (names the known
 * ones), a key missing or out of range, a feature that is not there. */
struct model *model_new(const char *config, size_t size, char why[WHY]);
void model_free(struct model *m);

/* The hidden state after the last norm, [tokens, hidden].  With a cache the batch's
 * tokens follow those seen, and are added to it; the encoder runs if !cache->encoded. */
struct tensor *model_forward(struct tape *t, struct model *m, const struct batch *b, struct cache *c);

/* Forward and loss; in TAPE_TRAIN also backward: gradients are added to params' grad.
 * A large batch passes in parts (model.part), unless values are tapped.  Runs through tape_run.
 * Nothing supervised is no error: tokens 0.  -1 with why. */
int model_step(struct tape *t, struct model *m, const struct batch *b, enum tape_mode mode, uint64_t key,
               struct loss *loss, char why[WHY]);
/* What model_step will take at most: rows of `tokens` each, all supervised. */
int model_plan(struct tape *t, struct model *m, size_t rows, size_t tokens, enum tape_mode mode,
               struct tape_plan *plan, char why[WHY]);

/* --- generate ---------------------------------------------------------------------------- */
/* rows is a multiple of heard, the rows of features that the first batch brings. */
int cache_reserve(struct cache *c, const struct model *m, size_t rows, size_t heard, size_t room, char why[WHY]);
void cache_release(struct cache *c);
void cache_clear(struct cache *c);
/* Each row becomes `times` rows, side by side, that share what was heard.  The cache was reserved for as many. */
void cache_expand(struct cache *c, size_t times);
/* Row r becomes what row from[r] was.  -1: out of memory. */
int cache_reorder(struct cache *c, const size_t *from);
/* Feeds b's tokens (any number a row, none: its logits stay as they were; same rows as the cache;
 * b->features only if !c->encoded) and gives the logits of each row's last position: logits
 * [rows, vocab], the caller's. */
int model_decode(struct tape *t, struct model *m, const struct batch *b, struct cache *c, float *logits, char why[WHY]);

#endif
