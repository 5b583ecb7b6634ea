/* kernels/nn/param/lora.c - see lora.h */
#include "kernels/nn/param/lora.h"
#include "kernels/linalg/gemm/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct param *adapter_add(struct params *ps, const struct param *w, const char *which, size_t rows, size_t cols)
{
    size_t n = strlen(w->name) - strlen(".weight"), room = n + 64, shape[] = { rows, cols };
    char *name = malloc(room);
    if (!name)
        return NULL;
    snprintf(name, room, "base_model.model.%.*s.%s.weight", (int)n, w->name, which);
    struct param *p = params_add(ps, name, PARAM_ADAPTER, 2, shape);
    free(name);
    return p;
}

int lora_add(struct params *ps, struct param *w, const struct lora_options *o)
{
    struct param *a = adapter_add(ps, w, "lora_A", o->r, w->shape[1]);
    struct param *b = adapter_add(ps, w, "lora_B", w->shape[0], o->r);
    if (!a || !b)
        return -1;
    a->init = INIT_UNIFORM;                 /* Kaiming's with a = sqrt(5): bound 1 / sqrt(in) */
    a->init_scale = (float)(1 / sqrt((double)w->shape[1]));
    b->init = INIT_ZERO;
    w->lora = (struct lora){ a, b, (float)(o->rslora ? o->alpha / sqrt((double)o->r) : o->alpha / (double)o->r),
                             (float)o->dropout };
    return 0;
}

long lora_attach(struct params *ps, const struct lora_options *o, char why[WHY])
{
    bool all = !strcmp(o->targets, "all-linear");
    bool anywhere = !o->layers || !strcmp(o->layers, "all");
    struct match *targets = match_new(all ? "weight" : o->targets, why);
    struct match *layers = targets ? match_new(anywhere ? "weight" : o->layers, why) : NULL;
    long matched = 0;
    size_t n = ps->n;
    for (size_t i = 0; layers && matched >= 0 && i < n; i++) {
        struct param *p = ps->p[i];
        p->trained = false;
        size_t length = strlen(p->name);
        if (all && p->last)             /* as PEFT: all but the output layer */
            continue;
        if (p->kind != PARAM_LINEAR || length < 8 || strcmp(p->name + length - 7, ".weight"))
            continue;
        if (!(all || match_module(targets, p->name)) || !(anywhere || match_tensor(layers, p->name)))
            continue;
        matched = lora_add(ps, p, o) ? -1 : matched + 1;
    }
    if (layers && matched < 0)
        snprintf(why, WHY, "out of memory");
    else if (layers && !matched)
        snprintf(why, WHY, "'%.160s' matches no linear layer%s%s", o->targets, anywhere ? "" : " in the ",
                 anywhere ? "" : o->layers);
    long result = layers && matched > 0 ? matched : -1;
    match_free(targets);
    match_free(layers);
    return result;
}

void lora_merge(const struct compute *k, struct params *ps)
{
    for (size_t i = 0; i < ps->n; i++) {
        struct param *w = ps->p[i], *a = w->lora.a, *b = w->lora.b;
        if (!a)
            continue;
        size_t r = a->shape[0];
        for (size_t j = 0; j < b->count; j++)
            b->data[j] *= w->lora.scale;
        gemm_f32(k, false, false, w->shape[0], w->shape[1], r, b->data, r, a->data, w->shape[1], 1, w->data, w->shape[1]);
        w->lora = (struct lora){ 0 };
        packed_free(w->packed);                 /* of what it was */
        w->packed = NULL;
    }
}
