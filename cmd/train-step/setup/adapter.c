/* cmd/train-step/setup/adapter.c - see adapter.h */
#include "cmd/train-step/setup/adapter.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/nn/random.h"
#include "libcommon/sys/crc32c.h"

static bool is_list(const char *pattern) { return !strpbrk(pattern, "\\*+?()[]{}|^$") && strcmp(pattern, "all-linear"); }

/* Full names of the modules that carry an adapter: PEFT takes such a list literally. */
static json_t *modules(const struct params *ps)
{
    static const char before[] = "base_model.model.", after[] = ".lora_A.weight";
    json_t *list = json_array();
    for (size_t i = 0; i < ps->n; i++) {
        const char *name = ps->p[i]->name;
        size_t n = strlen(name);
        if (n > sizeof before + sizeof after && !strncmp(name, before, sizeof before - 1) &&
            !strcmp(name + n - (sizeof after - 1), after))
            json_array_append_new(list, json_stringn(name + sizeof before - 1,
                                                     n - (sizeof before - 1) - (sizeof after - 1)));
    }
    return list;
}

/* The pattern as it was given, where PEFT reads it alike; else the modules it chose. */
static json_t *targets(const struct trainer *t)
{
    const char *pattern = t->lora.targets;
    if (t->lora.layers || !strcmp(pattern, "all-linear"))
        return modules(&t->model->params);
    if (!is_list(pattern))
        return json_string(pattern);
    size_t n;
    char **words = opt_list(pattern, &n);
    json_t *list = words ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, json_string(words[i]));
    free(words);
    return list;
}

static const char *first_architecture(const json_t *config)
{
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    return name ? name : "";
}

/* What PEFT's AutoPeftModel... open the base with: a kind of task that they know, or else its class. */
static json_t *task_type(const struct trainer *t)
{
    const char *name = first_architecture(t->dir.json), *causal = "ForCausalLM";
    size_t n = strlen(name), k = strlen(causal);
    return n > k && !strcmp(name + n - k, causal) ? json_string("CAUSAL_LM") : json_null();
}

static json_t *auto_mapping(const struct trainer *t, const json_t *task)
{
    const char *name = first_architecture(t->dir.json), *type = t->model->model_type;
    char library[200];
    if (!json_is_null(task) || !*name)
        return json_null();
    snprintf(library, sizeof library, "transformers.models.%.60s.modeling_%.60s", type, type);
    return json_pack("{s:s s:s}", "base_model_class", name, "parent_library", library);
}

json_t *adapter_config(const struct trainer *t)
{
    char base[PATH_MAX];
    if (!realpath(t->dir.path, base))
        return NULL;
    const struct lora_options *o = &t->lora;
    json_t *task = task_type(t);
    return json_pack("{s:o s:{} s:n s:s s:s s:n s:b s:b s:b s:n s:n s:n s:f s:b s:f s:n s:s s:I s:{} s:n s:o s:o s:b s:b}",
                     "auto_mapping", auto_mapping(t, task), "alpha_pattern", "exclude_modules", "base_model_name_or_path",
                     base, "bias", "none",
                     "layer_replication", "fan_in_fan_out", 0, "inference_mode", 1, "init_lora_weights", 1,
                     "layers_pattern", "layers_to_transform", "megatron_config", "lora_alpha", o->alpha, "lora_bias", 0,
                     "lora_dropout", o->dropout, "modules_to_save", "peft_type", "LORA", "r", (json_int_t)o->r,
                     "rank_pattern", "revision", "target_modules", targets(t), "task_type", task, "use_dora", 0,
                     "use_rslora", o->rslora ? 1 : 0);
}

/* Of names and values, in any order: however the files are cut, and of whatever type they are. */
static uint64_t base_sum(const struct params *ps)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const struct param *p = ps->p[i];
        if (p->kind != PARAM_ADAPTER && !p->buffer)
            sum += random_mix(crc32c(crc32c(0, p->name, strlen(p->name)), p->data, p->count * sizeof *p->data));
    }
    return sum;
}

int adapter_base(struct trainer *t, struct error *e)
{
    char sum[sizeof t->state.base];
    snprintf(sum, sizeof sum, "%016" PRIx64, base_sum(&t->model->params));
    if (t->resumed && *t->state.base && strcmp(sum, t->state.base))
        return error_set(e, STATUS_BAD, "'%s' is an adapter of another base model: the weights in --model '%s' are not "
                                        "those that it was trained on", t->resumed, t->o->model);
    memcpy(t->state.base, sum, sizeof sum);
    return 0;
}
