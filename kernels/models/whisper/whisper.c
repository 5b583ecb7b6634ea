/* kernels/models/whisper/whisper.c - Whisper's forward code
 *
 * A. Radford and others, "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
 * Encoder: two convolutions with GELU (the second halves the time), sinusoids, pre-norm
 * layers, a norm.  Decoder: token and learnt position embeddings, pre-norm layers with
 * causal and cross attention, a norm; the output layer is the token embedding.
 * Padded audio attends like any other: nothing masks it (golden/README-whisper.md).
 * B clips, S source positions (two mel frames each), D model width, T tokens in all. */
#include "kernels/models/whisper/whisper.h"
#include "kernels/nn/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float EPS = 1e-5f;

/* --- blocks ---------------------------------------------------------------------- */
/* x + dropout(h W^T + b) */
static struct tensor *residual(struct tape *t, const struct whisper *w, struct tensor *x, struct tensor *h,
                               const struct affine *l)
{
    if (w->dropout > 0)
        return tape_add(t, x, tape_dropout(t, tape_linear(t, h, l->w, l->b), w->dropout));
    return tape_linear_add(t, x, h, l->w, l->b);
}

static struct tensor *feed_forward(struct tape *t, const struct whisper *w, const struct whisper_layer *l, struct tensor *x)
{
    struct tensor *h = tape_layer_norm(t, x, l->last_norm.w, l->last_norm.b, EPS);
    h = tape_linear_gelu(t, h, l->fc1.w, l->fc1.b);
    h = tape_dropout(t, h, w->activation_dropout);
    return residual(t, w, x, h, &l->fc2);
}

/* Is this layer left out of this step?  Never in a plan (key 0), which is the worst case. */
static bool layer_dropped(const struct tape *t, float p, uint64_t which)
{
    return t->mode == TAPE_TRAIN && t->key && p > 0 && random_uniform(random_key(t->key, 0x6c61796572u), which) < p;
}

static void tap_layer(struct tape *t, const char *stack, size_t i, const struct tensor *x)
{
    char name[40];
    if (!t->tap)
        return;
    snprintf(name, sizeof name, "%s.hidden.%zu", stack, i);
    tape_tap(t, name, x);
}

/* --- the encoder ------------------------------------------------------------------- */
struct layer_run {              /* what a layer's segment of the tape is given */
    const struct whisper *w;
    const struct whisper_layer *l;
    const struct attended *self, *cross;
    size_t rows, i;
    const struct batch *b;
    struct cache *c;
};

static void encoder_layer(struct tape *t, const void *ctx, struct tensor **in, struct tensor **out)
{
    const struct layer_run *r = ctx;
    const struct whisper *w = r->w;
    const struct whisper_attention *a = &r->l->self;
    struct attention spec = { .heads = w->encoder_heads, .kv_heads = w->encoder_heads, .segment = r->self, .n = r->rows,
                              .scale = 1.0f / sqrtf((float)(w->d / w->encoder_heads)), .dropout = w->attention_dropout };
    struct tensor *h = tape_layer_norm(t, in[0], a->norm.w, a->norm.b, EPS);
    struct tensor *q = tape_linear(t, h, a->q.w, a->q.b), *k = tape_linear(t, h, a->k.w, NULL);
    struct tensor *v = tape_linear(t, h, a->v.w, a->v.b);
    h = residual(t, w, in[0], tape_attention(t, q, k, v, &spec), &a->out);
    out[0] = feed_forward(t, w, r->l, h);
}

struct transpose { const float *from; float *to; size_t bins, frames; };

static void transpose_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct transpose *j = ctx;
    const float *from = j->from + i * j->bins * j->frames;
    float *to = j->to + i * j->bins * j->frames;
    for (size_t f = 0; f < j->frames; f += 16)          /* blocks of both: neither side strides far */
        for (size_t b = 0; b < j->bins; b++)
            for (size_t k = f; k < f + 16 && k < j->frames; k++)
                to[k * j->bins + b] = from[b * j->frames + k];
}

/* [B, bins, frames] as [B * frames, bins]. */
static struct tensor *features(struct tape *t, const struct batch *b)
{
    struct tensor *x = tape_temp(t, b->rows * b->frames, b->bins);
    struct transpose j = { b->features, x->data, b->bins, b->frames };
    if (!t->dry && !t->failed)
        team_run(t->compute->team, b->rows, transpose_task, &j);
    return x;
}

static void stem(struct tape *t, const void *ctx, struct tensor **in, struct tensor **out)
{
    const struct layer_run *r = ctx;
    const struct whisper *w = r->w;
    (void)in;
    struct tensor *x = whisper_augment(t, w, r->b, features(t, r->b));
    tape_tap(t, "features", x);
    x = tape_gelu(t, tape_conv1d(t, x, r->rows, w->conv1.w, w->conv1.b, 1));
    tape_tap(t, "enc.conv1", x);
    x = tape_gelu(t, tape_conv1d(t, x, r->rows, w->conv2.w, w->conv2.b, 2));
    tape_tap(t, "enc.conv2", x);
    x = tape_add_table(t, x, w->encoder_positions);
    out[0] = tape_dropout(t, x, w->dropout);
}

/* [B * S, D] */
static struct tensor *encode(struct tape *t, const struct whisper *w, const struct batch *b)
{
    struct attended *self = tape_small(t, (b->rows + 1) * sizeof *self);
    for (size_t i = 0; self && i < b->rows; i++)
        self[i] = (struct attended){ i * w->source, w->source, i * w->source, w->source };
    struct layer_run r = { .w = w, .self = self, .rows = b->rows, .b = b };
    struct tensor *x, *y;
    tape_segment(t, stem, &r, sizeof r, NULL, 0, &x, 1);
    tap_layer(t, "enc", 0, x);
    for (size_t i = 0; i < w->encoder_layers; i++) {
        r.l = w->encoder + i;
        if (!layer_dropped(t, w->encoder_layerdrop, i)) {
            tape_segment(t, encoder_layer, &r, sizeof r, &x, 1, &y, 1);
            tape_drop(t, x);
            x = y;
        }
        tap_layer(t, "enc", i + 1, x);
    }
    y = tape_layer_norm(t, x, w->encoder_norm.w, w->encoder_norm.b, EPS);
    tape_drop(t, x);
    tape_tap(t, "enc.out", y);
    return y;
}

/* --- the decoder --------------------------------------------------------------------- */
/* Keys and values of the encoder's output; with a cache they are computed once. */
static void cross_keys(struct tape *t, const struct layer_run *r, struct tensor *encoded, struct tensor **k,
                       struct tensor **v)
{
    const struct whisper_attention *a = &r->l->cross;
    struct cache *c = r->c;
    size_t rows = c ? c->heard * c->source : 0;
    if (!c || !c->encoded) {
        *k = tape_linear(t, encoded, a->k.w, NULL);
        *v = tape_linear(t, encoded, a->v.w, a->v.b);
    }
    if (!c)
        return;
    if (!c->encoded && !t->dry && !t->failed) {
        memcpy(c->cross_k[r->i], (*k)->data, rows * c->width * sizeof(float));
        memcpy(c->cross_v[r->i], (*v)->data, rows * c->width * sizeof(float));
    }
    *k = tape_input(t, c->cross_k[r->i], rows, c->width);
    *v = tape_input(t, c->cross_v[r->i], rows, c->width);
}

/* in: x, the encoder's output (or x again, when keys and values are cached) */
static void decoder_layer(struct tape *t, const void *ctx, struct tensor **in, struct tensor **out)
{
    const struct layer_run *r = ctx;
    const struct whisper *w = r->w;
    const struct whisper_attention *a = &r->l->self, *ca = &r->l->cross;
    struct attention spec = { .heads = w->decoder_heads, .kv_heads = w->decoder_heads, .causal = true, .segment = r->self,
                              .n = r->rows, .scale = 1.0f / sqrtf((float)(w->d / w->decoder_heads)),
                              .dropout = w->attention_dropout };
    struct tensor *x = in[0], *k, *v;
    struct tensor *h = tape_layer_norm(t, x, a->norm.w, a->norm.b, EPS);
    struct tensor *q = tape_linear(t, h, a->q.w, a->q.b);
    k = tape_linear(t, h, a->k.w, NULL);
    v = tape_linear(t, h, a->v.w, a->v.b);
    if (r->c)
        cache_append(t, r->c, r->i, r->b, &k, &v);
    x = residual(t, w, x, tape_attention(t, q, k, v, &spec), &a->out);

    spec.causal = false;
    spec.segment = r->cross;
    h = tape_layer_norm(t, x, ca->norm.w, ca->norm.b, EPS);
    q = tape_linear(t, h, ca->q.w, ca->q.b);
    cross_keys(t, r, in[1], &k, &v);
    x = residual(t, w, x, tape_attention(t, q, k, v, &spec), &ca->out);
    out[0] = feed_forward(t, w, r->l, x);
}

static struct tensor *decode(struct tape *t, const struct whisper *w, const struct batch *b, struct cache *c,
                             struct tensor *encoded)
{
    const int32_t *position = batch_positions(t, b, c);
    struct attended *cross = tape_small(t, (b->rows + 1) * sizeof *cross);
    struct layer_run r = { .w = w, .self = batch_segments(t, b, c), .cross = cross, .rows = b->rows, .b = b, .c = c };
    size_t beams = c ? c->rows / c->heard : 1, n = b->start[b->rows];
    for (size_t i = 0; cross && i < b->rows; i++)
        cross[i] = (struct attended){ b->start[i], b->start[i + 1] - b->start[i], i / beams * w->source, w->source };
    /* scale_embedding: transformers reads and ignores it */
    struct tensor *y, *x = tape_embedding(t, w->tokens, b->ids, n, w->pad, 1);
    x = tape_add(t, tape_embedding(t, w->decoder_positions, position, n, -1, 1), x);
    x = tape_dropout(t, x, w->dropout);
    tap_layer(t, "dec", 0, x);
    for (r.i = 0; r.i < w->decoder_layers; r.i++) {
        struct tensor *in[] = { x, encoded ? encoded : x };
        r.l = w->decoder + r.i;
        if (!layer_dropped(t, w->decoder_layerdrop, 1000 + r.i)) {
            tape_segment(t, decoder_layer, &r, sizeof r, in, 2, &y, 1);
            tape_drop(t, x);
            x = y;
        }
        tap_layer(t, "dec", r.i + 1, x);
    }
    y = tape_layer_norm(t, x, w->decoder_norm.w, w->decoder_norm.b, EPS);
    tape_drop(t, x);
    tape_tap(t, "dec.out", y);
    return y;
}

static struct tensor *whisper_forward(struct tape *t, struct model *m, const struct batch *b, struct cache *c)
{
    const struct whisper *w = m->config;
    struct tensor *encoded = c && c->encoded ? NULL : encode(t, w, b);
    return decode(t, w, b, c, encoded);
}

static const char *const types[] = { "whisper", NULL };
const struct arch whisper_arch = { .types = types, .config_size = sizeof(struct whisper), .configure = whisper_configure,
                                   .forward = whisper_forward, .release = whisper_release };
