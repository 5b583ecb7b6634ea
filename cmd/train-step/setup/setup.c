/* cmd/train-step/setup/setup.c - see setup.h */
#include "cmd/train-step/setup/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/train-step/setup/adapter.h"
#include "cmd/train-step/setup/plan.h"
#include "libcommon/sys/log.h"

static int freeze(struct trainer *t, struct error *e)
{
    char why[WHY];
    struct match *m = match_new(t->o->freeze, why);
    if (!m)
        return error_set(e, STATUS_BAD, "--freeze '%s': %s", t->o->freeze, why);
    size_t n = params_freeze(&t->model->params, m);
    match_free(m);
    if (!n)
        return error_set(e, STATUS_BAD, "--freeze '%s' matches no tensor of '%s'", t->o->freeze, t->o->model);
    note("%zu tensors match --freeze '%s' and stay as they are", n, t->o->freeze);
    return 0;
}

/* The last part of the module that an adapter belongs to: "q_proj"; n its length. */
static const char *adapter_place(const struct param *p, size_t *n)
{
    const char *end = strstr(p->name, ".lora_A"), *start = end;
    if (!end)
        return NULL;
    while (start > p->name && start[-1] != '.')
        start--;
    *n = (size_t)(end - start);
    return start;
}

/* "adapters of rank 8 on 24 modules: q_proj 12, v_proj 12" */
static void adapters_note(const struct trainer *t, long modules)
{
    const struct params *ps = &t->model->params;
    char text[1000];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < ps->n; i++) {
        size_t n, m, count = 0;
        const char *place = adapter_place(ps->p[i], &n);
        bool first = place != NULL;
        for (size_t j = 0; place && j < ps->n; j++) {
            const char *other = adapter_place(ps->p[j], &m);
            bool same = other && m == n && !memcmp(other, place, n);
            count += same;
            first &= !(same && j < i);
        }
        if (first && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s %zu", used ? ", " : "", (int)n, place, count);
    }
    note("adapters of rank %zu on %ld modules: %s", t->lora.r, modules, text);
}

static int attach(struct trainer *t, struct error *e)
{
    const struct options *o = t->o;
    char why[WHY];
    t->lora = (struct lora_options){
        .r = (size_t)o->lora_r, .alpha = o->lora_alpha, .dropout = o->lora_dropout, .rslora = o->lora_rslora,
        .targets = o->lora_targets, .layers = strcmp(o->lora_layers, "all") ? o->lora_layers : NULL,
    };
    long n = lora_attach(&t->model->params, &t->lora, why);
    if (n < 0)
        return error_set(e, STATUS_BAD, "--lora-target-modules '%s': %s", o->lora_targets, why);
    adapters_note(t, n);
    return 0;
}

/* What --mask-... sets goes into config.json, as transformers would have it; so it is in the checkpoints too. */
static int augment(struct trainer *t, struct error *e)
{
    const struct options *o = t->o;
    bool any = false;
    for (size_t i = 0; i < MASKS; i++) {
        any |= o->mask_given[i];
        if (o->mask_given[i])
            json_object_set_new(t->dir.json, mask_key(i), mask_json(o, i));
    }
    if (!any)
        return 0;
    json_object_set_new(t->dir.json, "apply_spec_augment", json_true());
    char *text = json_dumps(t->dir.json, JSON_INDENT(2));
    buf_clear(&t->dir.config);
    buf_printf(&t->dir.config, "%s\n", text ? text : "");
    free(text);
    return t->dir.config.failed ? error_memory(e) : 0;
}

int trainer_setup(struct trainer *t, struct error *e)
{
    const struct options *o = t->o;
    if (modeldir_open(o->model, &t->dir, e) < 0)
        return -1;
    if (t->dir.adapter)
        return error_set(e, STATUS_BAD, "--model '%s' is an adapter; lora-merge makes a model of it, --resume goes "
                                        "on training it", o->model);
    t->machine.compute.bf16 = !strcmp(o->dtype, "bfloat16");
    if (augment(t, e) < 0 || !(t->model = model_from_config(&t->dir, e)))
        return -1;
    for (size_t i = 0; i < MASKS; i++)
        if (o->mask_given[i] && !t->model->bins)
            return error_set(e, STATUS_BAD, "--mask-...: '%s' is a model of texts (%s), without sound to mask", o->model,
                             t->model->model_type);
    t->model->smoothing = (float)o->label_smoothing;
    struct params *ps = &t->model->params;
    if ((o->freeze && freeze(t, e) < 0) || (o->lora && attach(t, e) < 0))
        return -1;
    if (!params_count(ps, true))
        return error_set(e, STATUS_BAD, "nothing is left to train: --freeze '%s' matches every tensor",
                         o->freeze ? o->freeze : "");
    ps->lent = plan_lends(t);
    if (params_from_dir(ps, &t->dir, true, e) < 0)
        return -1;
    modeldir_forget(&t->dir);
    for (size_t i = 0; i < ps->n; i++)
        if (ps->p[i]->kind == PARAM_ADAPTER)
            param_init(ps->p[i], (uint64_t)o->seed);
    return o->lora ? adapter_base(t, e) : 0;
}
