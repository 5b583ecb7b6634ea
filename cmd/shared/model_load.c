/* cmd/shared/model_load.c - see model_load.h */
#include "cmd/shared/model_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct model *model_from_config(const struct modeldir *dir, struct error *e)
{
    char why[WHY];
    struct model *m = model_new((const char *)dir->config.data, dir->config.size, why);
    if (!m)
        error_set(e, STATUS_BAD, "'%s/config.json': %s", dir->path, why);
    return m;
}

static bool in_place(const struct param *p, const struct st_tensor *t)
{
    return !p->trained && t->dtype == ST_F32 && (uintptr_t)t->data.data % sizeof(float) == 0;
}

/* The parameters of one kind (adapters, or all others) as wanted tensors; malloc'd, in the order of ps. */
static struct tensor_want *want_list(const struct params *ps, bool adapters, size_t *n)
{
    struct tensor_want *want = calloc(ps->n + 1, sizeof *want);
    *n = 0;
    for (size_t i = 0; want && i < ps->n; i++) {
        const struct param *p = ps->p[i];
        if ((p->kind == PARAM_ADAPTER) == adapters)
            want[(*n)++] = (struct tensor_want){ .name = p->name, .rank = p->rank, .shape = p->shape, .optional = p->buffer };
    }
    return want;
}

static int fill(struct params *ps, const struct modeldir *dir, bool adapters, bool training, struct error *e)
{
    size_t n;
    struct tensor_want *want = want_list(ps, adapters, &n);
    if (!want)
        return error_set(e, STATUS_AGAIN, "out of memory");
    int rc = modeldir_match(dir, want, n, e);
    for (size_t i = 0, k = 0; rc == 0 && i < ps->n; i++) {
        struct param *p = ps->p[i];
        if ((p->kind == PARAM_ADAPTER) != adapters)
            continue;
        const struct st_tensor *t = want[k++].found;
        if (t && in_place(p, t))        /* read only: what is not trained is never written */
            p->data = (float *)(uintptr_t)t->data.data;
    }
    char why[WHY];
    if (rc == 0 && params_reserve(ps, training, why) < 0)
        rc = error_set(e, STATUS_AGAIN, "no memory for the model's parameters: %s", why);
    for (size_t i = 0, k = 0; rc == 0 && i < ps->n; i++) {
        struct param *p = ps->p[i];
        if ((p->kind == PARAM_ADAPTER) != adapters)
            continue;
        const struct st_tensor *t = want[k++].found;
        if (!t)
            param_init(p, 0);
        else if (!in_place(p, t) && st_to_f32(t, p->data, e) < 0)
            rc = error_prefix(e, "model '%s'", dir->path);
    }
    free(want);
    return rc;
}

int params_from_dir(struct params *ps, const struct modeldir *dir, bool training, struct error *e)
{
    return fill(ps, dir, false, training, e);
}

int adapters_from_dir(struct params *ps, const struct modeldir *dir, struct error *e)
{
    return fill(ps, dir, true, false, e);
}

/* --- adapters ------------------------------------------------------------------- */
/* "a,b" from a list of names; "(?:expression)" from a string, which PEFT matches against whole names. */
static char *targets_text(const json_t *targets)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t i;
    json_t *item;
    if (json_is_string(targets)) {
        const char *text = json_string_value(targets);
        buf_printf(&b, strcmp(text, "all-linear") ? "(?:%s)" : "%s", text);
    }
    json_array_foreach(targets, i, item)
        buf_printf(&b, "%s%s", i ? "," : "", json_is_string(item) ? json_string_value(item) : "");
    buf_append(&b, "", 1);
    return b.failed ? NULL : (char *)b.data;
}

/* What plain LoRA leaves empty must be empty. */
static int plain_only(const struct modeldir *dir, struct error *e)
{
    static const char *const keys[] = { "use_dora", "use_qalora", "use_bdlora", "modules_to_save", "layers_to_transform", "layers_pattern",
        "rank_pattern", "alpha_pattern", "exclude_modules", "fan_in_fan_out", "lora_bias", "layer_replication",
        "trainable_token_indices", "target_parameters", "megatron_config" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *v = json_object_get(dir->json, keys[i]);
        bool container = json_is_object(v) || json_is_array(v);
        if (v && !json_is_null(v) && !json_is_false(v) && !(container && !json_object_size(v) && !json_array_size(v)))
            return error_set(e, STATUS_BAD, "'%s/adapter_config.json': '%s' is not supported", dir->path, keys[i]);
    }
    const char *bias = json_string_value(json_object_get(dir->json, "bias"));
    if (bias && strcmp(bias, "none"))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json': bias '%s' is not supported, only 'none'", dir->path, bias);
    return 0;
}

int adapter_config_read(const struct modeldir *dir, struct adapter_config *o, struct error *e)
{
    *o = (struct adapter_config){ 0 };
    const char *type = json_string_value(json_object_get(dir->json, "peft_type"));
    if (!type || strcmp(type, "LORA"))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json': peft_type '%s' is not supported, only 'LORA'", dir->path, type ? type : "");
    if (plain_only(dir, e) < 0)
        return -1;
    json_t *targets = json_object_get(dir->json, "target_modules");
    json_int_t r = json_integer_value(json_object_get(dir->json, "r"));
    if (r < 1 || r > 65536 || !(json_is_string(targets) || json_array_size(targets)))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json' lacks a rank 'r' or its 'target_modules'", dir->path);
    o->memory = targets_text(targets);
    if (!o->memory)
        return error_set(e, STATUS_AGAIN, "out of memory");
    o->lora = (struct lora_options){
        .r = (size_t)r,
        .alpha = json_number_value(json_object_get(dir->json, "lora_alpha")),
        .dropout = json_number_value(json_object_get(dir->json, "lora_dropout")),
        .rslora = json_is_true(json_object_get(dir->json, "use_rslora")),
        .targets = o->memory,
    };
    o->base = json_string_value(json_object_get(dir->json, "base_model_name_or_path"));
    return 0;
}

void adapter_config_release(struct adapter_config *o)
{
    free(o->memory);
    *o = (struct adapter_config){ 0 };
}

/* Opens the base of the adapter in l->adapter. */
static int base_open(struct loaded *l, const char *base, const struct adapter_config *o, struct error *e)
{
    const char *name = base ? base : o->base;
    if (!name)
        return error_set(e, STATUS_BAD, "'%s' is an adapter and does not name its base model", l->adapter.path);
    char *beside = path_join(l->adapter.path, name);
    bool here = base || access(name, F_OK) == 0;
    int rc = beside ? modeldir_open(here ? name : beside, &l->dir, e) : error_set(e, STATUS_AGAIN, "out of memory");
    free(beside);
    return rc < 0 ? error_prefix(e, "base model of adapter '%s'", l->adapter.path) : 0;
}

static int load_adapter(struct loaded *l, const char *base, struct error *e)
{
    struct adapter_config o;
    char why[WHY];
    int rc = adapter_config_read(&l->adapter, &o, e);
    if (rc == 0)
        rc = base_open(l, base, &o, e);
    if (rc == 0 && !(l->model = model_from_config(&l->dir, e)))
        rc = -1;
    if (rc == 0 && lora_attach(&l->model->params, &o.lora, why) < 0)
        rc = error_set(e, STATUS_BAD, "adapter '%s': %s", l->adapter.path, why);
    adapter_config_release(&o);
    return rc;
}

int model_load(const char *path, const char *base, struct loaded *l, struct error *e)
{
    *l = (struct loaded){ 0 };
    int rc = modeldir_open(path, &l->dir, e);
    if (rc == 0 && l->dir.adapter) {
        l->adapter = l->dir;
        l->dir = (struct modeldir){ 0 };
        rc = load_adapter(l, base, e);
    } else if (rc == 0 && !(l->model = model_from_config(&l->dir, e))) {
        rc = -1;
    }
    for (size_t i = 0; rc == 0 && i < l->model->params.n; i++)
        l->model->params.p[i]->trained = false;
    if (rc == 0)
        rc = params_from_dir(&l->model->params, &l->dir, false, e);
    if (rc == 0 && l->adapter.path)
        rc = adapters_from_dir(&l->model->params, &l->adapter, e);
    if (rc < 0)
        model_unload(l);
    return rc;
}

void model_unload(struct loaded *l)
{
    model_free(l->model);
    modeldir_close(&l->dir);
    modeldir_close(&l->adapter);
    *l = (struct loaded){ 0 };
}
