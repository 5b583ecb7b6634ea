/* kernels/models/gemma3/gemma3.c - Gemma 3's text model: Gemma Team, "Gemma 3 Technical Report", 2025
 *
 * x = E[ids] sqrt(H); each layer, norms before and after both blocks:
 *   x += norm(attention(norm x)),  x += norm(down(gelu(gate h) up h)), h = norm x
 * logits = E norm(x).  Norms are x / rms(x) * (1 + w).  Queries and keys are normed
 * head by head, then rotated; five of six layers see a window, the sixth all before it,
 * and turn by angles of their own.  H hidden size, T tokens in all. */
#include "kernels/models/gemma3/gemma3.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct layer_run {              /* what a layer's segment of the tape is given */
    const struct gemma3 *g;
    const struct gemma3_layer *l;
    const struct attended *segment;
    const struct tensor *angles[2];             /* by kind */
    size_t i;
    const struct batch *b;
    struct cache *c;
};

static void tap_layer(struct tape *t, size_t i, const char *what, const struct tensor *x)
{
    char name[60];
    if (!t->tap)
        return;
    snprintf(name, sizeof name, "layer.%zu.%s", i, what);
    tape_tap(t, name, x);
}

static struct tensor *norm(struct tape *t, const struct gemma3 *g, struct tensor *x, struct param *w)
{
    return tape_rms_norm(t, x, w, w->count, g->eps, 1);
}

static struct tensor *attention(struct tape *t, const struct layer_run *r, struct tensor *h)
{
    const struct gemma3 *g = r->g;
    const struct gemma3_layer *l = r->l;
    struct attention spec = { .heads = g->heads, .kv_heads = g->kv_heads, .scale = g->scale, .causal = true,
                              .window = l->kind == GEMMA3_SLIDING ? g->window : 0, .segment = r->segment, .n = r->b->rows };
    struct tensor *q = tape_linear(t, h, l->q.w, l->q.b), *k = tape_linear(t, h, l->k.w, l->k.b);
    struct tensor *v = tape_linear(t, h, l->v.w, l->v.b);
    q = tape_rope(t, norm(t, g, q, l->q_norm), r->angles[l->kind]);
    k = tape_rope(t, norm(t, g, k, l->k_norm), r->angles[l->kind]);
    tap_layer(t, r->i, "q", q);
    tap_layer(t, r->i, "k", k);
    tap_layer(t, r->i, "v", v);
    if (r->c)
        cache_append(t, r->c, r->i, r->b, &k, &v);
    return tape_linear(t, tape_attention(t, q, k, v, &spec), l->out.w, l->out.b);
}

static void layer(struct tape *t, const void *ctx, struct tensor **in, struct tensor **out)
{
    const struct layer_run *r = ctx;
    const struct gemma3_layer *l = r->l;
    struct tensor *h = norm(t, r->g, in[0], l->input_norm);
    tap_layer(t, r->i, "input_norm", h);
    h = attention(t, r, h);
    tap_layer(t, r->i, "attn", h);
    h = norm(t, r->g, h, l->post_attention_norm);
    tap_layer(t, r->i, "attn_norm", h);
    struct tensor *x = tape_add(t, in[0], h);
    h = norm(t, r->g, x, l->pre_ffn_norm);
    tap_layer(t, r->i, "mlp_norm", h);
    h = tape_gelu_gated(t, tape_linear(t, h, l->gate, NULL), tape_linear(t, h, l->up, NULL));
    h = tape_linear(t, h, l->down, NULL);
    tap_layer(t, r->i, "mlp", h);
    h = norm(t, r->g, h, l->post_ffn_norm);
    tap_layer(t, r->i, "mlp_out_norm", h);
    out[0] = tape_add(t, x, h);
}

/* To the nearest bfloat16, ties to even; x finite. */
static float rounded(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &u, sizeof x);
    return x;
}

static struct tensor *gemma3_forward(struct tape *t, struct model *m, const struct batch *b, struct cache *c)
{
    const struct gemma3 *g = m->config;
    size_t n = b->start[b->rows];
    const int32_t *position = batch_positions(t, b, c);
    for (size_t i = 0; i < n && g->image >= 0; i++)
        if (b->ids[i] == g->image)
            tape_fail(t, "id %d at position %zu is a piece of an image: so far only texts are computed", g->image, i);
    struct layer_run r = { .g = g, .segment = batch_segments(t, b, c), .b = b, .c = c };
    for (int kind = 0; kind < 2; kind++)
        r.angles[kind] = tape_rope_table(t, position, n, g->head_dim, g->rope[kind].theta, g->rope[kind].factor);
    /* The released weights were trained with this factor in bfloat16: 25.25 for 25.2982 in 270m. */
    float root = sqrtf((float)g->hidden);
    struct tensor *x = tape_embedding(t, g->tokens, b->ids, n, g->pad, t->compute->bf16 ? rounded(root) : root);
    tape_tap(t, "embed", x);
    for (r.i = 0; r.i < g->n_layers; r.i++) {
        struct tensor *y;
        r.l = g->layers + r.i;
        tape_segment(t, layer, &r, sizeof r, &x, 1, &y, 1);
        tape_drop(t, x);
        x = y;
        tap_layer(t, r.i, "out", x);
    }
    x = norm(t, g, x, g->norm);
    tape_tap(t, "final_norm", x);
    return x;
}

static const char *const types[] = { "gemma3_text", "gemma3", NULL };
const struct arch gemma3_arch = { .types = types, .config_size = sizeof(struct gemma3), .configure = gemma3_configure,
                                  .forward = gemma3_forward, .release = gemma3_release };
