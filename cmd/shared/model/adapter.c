/* cmd/shared/model/adapter.c - see adapter.h */
#include "cmd/shared/model/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/nn/param/lora.h"

static int refuse(const struct modeldir *dir, const char *what, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s/adapter_config.json': %s is not supported", dir->path, what);
}

/* What changes the product, or the weights beneath it, must be off. */
static int plain_only(const struct modeldir *dir, struct error *e)
{
    static const char *const keys[] = {
        "use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias", "layer_replication",
        "trainable_token_indices", "target_parameters", "megatron_config", "alora_invocation_tokens", "arrow_config",
        "kasa_config", "monteclora_config",
    };
    char what[100];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *v = json_object_get(dir->json, keys[i]);
        bool container = json_is_object(v) || json_is_array(v);
        snprintf(what, sizeof what, "'%s'", keys[i]);
        if (v && !json_is_null(v) && !json_is_false(v) && !(container && !json_object_size(v) && !json_array_size(v)))
            return refuse(dir, what, e);
    }
    static const char *const starts[] = { "pissa", "olora", "corda", "loftq", "lora_ga" };
    const char *init = json_string_value(json_object_get(dir->json, "init_lora_weights"));
    snprintf(what, sizeof what, "init_lora_weights '%.40s', which changes the base,", init ? init : "");
    for (size_t i = 0; init && i < sizeof starts / sizeof *starts; i++)
        if (!strncmp(init, starts[i], strlen(starts[i])))
            return refuse(dir, what, e);
    return 0;
}

int adapter_check(const struct modeldir *dir, struct error *e)
{
    const char *type = json_string_value(json_object_get(dir->json, "peft_type"));
    if (!type || strcmp(type, "LORA"))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json': peft_type '%s' is not supported, only 'LORA'",
                         dir->path, type ? type : "");
    return plain_only(dir, e);
}

/* --- rank and alpha of a module ------------------------------------------------------ */
/* Does a key of rank_pattern or alpha_pattern mean this weight?  In PEFT it is an expression for the last
 * parts of a module's name. */
static int means(const char *key, const char *weight, char why[WHY])
{
    size_t room = strlen(key) + sizeof "(?:.*\\.)?(?:)";
    char *text = malloc(room);
    if (!text) {
        snprintf(why, WHY, "out of memory");
        return -1;
    }
    snprintf(text, room, "(?:.*\\.)?(?:%s)", key);
    struct match *m = match_new(text, why);
    int yes = !m ? -1 : match_module(m, weight);
    match_free(m);
    free(text);
    return yes;
}

/* `pattern`'s number for this weight, by the first key that means it; else `key`'s; else PEFT's default, 8. */
static int number_of(const struct modeldir *dir, const char *pattern, const char *key, const char *weight, double *to,
                     struct error *e)
{
    char why[WHY];
    const char *each;
    json_t *chosen = json_object_get(dir->json, key), *value;
    json_object_foreach(json_object_get(dir->json, pattern), each, value) {
        int yes = means(each, weight, why);
        if (yes < 0)
            return error_set(e, STATUS_BAD, "'%s/adapter_config.json': %s: %s", dir->path, pattern, why);
        if (yes) {
            chosen = value;
            break;
        }
    }
    if (chosen && !json_is_number(chosen))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json': '%s' or a value of '%s' is no number", dir->path,
                         key, pattern);
    *to = chosen ? json_number_value(chosen) : 8;
    return 0;
}

static int strength(const struct modeldir *dir, const char *weight, struct lora_options *o, struct error *e)
{
    double r;
    *o = (struct lora_options){ .rslora = json_is_true(json_object_get(dir->json, "use_rslora")) };
    if (number_of(dir, "rank_pattern", "r", weight, &r, e) < 0 ||
        number_of(dir, "alpha_pattern", "lora_alpha", weight, &o->alpha, e) < 0)
        return -1;
    if (!(r >= 1 && r <= 65536))
        return error_set(e, STATUS_BAD, "'%s/adapter_config.json': a rank of %g", dir->path, r);
    o->r = (size_t)r;
    return 0;
}

/* --- its tensors --------------------------------------------------------------------- */
static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static const char prefix[] = "base_model.model.";

/* The layer that PEFT wraps into one of its own is an inner one, which says so in names. */
static const char *wrapped(const char *name, size_t *size)
{
    static const char *const words[] = { ".base_layer.", ".modules_to_save.", ".original_module." };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *at = strstr(name, words[i]);
        *size = strlen(words[i]);
        if (at)
            return at;
    }
    return NULL;
}

/* A tensor's name with `end` (or nothing) cut off and `with` in its place, as the base calls it: without
 * PEFT's prefix and wrapper.  malloc'd; NULL with e. */
static char *base_name(const struct modeldir *dir, const char *tensor, const char *end, const char *with, struct error *e)
{
    if (strncmp(tensor, prefix, sizeof prefix - 1)) {
        error_set(e, STATUS_BAD, "adapter '%s': tensor '%s' is not named as PEFT does", dir->path, tensor);
        return NULL;
    }
    const char *name = tensor + sizeof prefix - 1;
    size_t word, n = strlen(name) - strlen(end);
    const char *inner = wrapped(name, &word);
    size_t head = inner ? (size_t)(inner - name) : n, skip = inner ? head + word - 1 : n, room = n + strlen(with) + 1;
    char *out = malloc(room);
    if (out)
        snprintf(out, room, "%.*s%.*s%s", (int)head, name, (int)(n - skip), name + skip, with);
    else
        error_memory(e);
    return out;
}

static int attach_one(const struct modeldir *dir, struct params *ps, const char *tensor, struct error *e)
{
    struct lora_options o;
    char *name = base_name(dir, tensor, ".lora_A.weight", ".weight", e);
    struct param *w = name ? params_find(ps, name) : NULL;
    int rc = name ? 0 : -1;
    if (rc == 0 && (!w || w->kind != PARAM_LINEAR))
        rc = error_set(e, STATUS_BAD, "adapter '%s': '%s' belongs to %s", dir->path, tensor,
                       w ? "a layer that is not linear, which is not supported" : "no layer of its base model");
    if (rc == 0)
        rc = strength(dir, name, &o, e);
    if (rc == 0 && lora_add(ps, w, &o) < 0)
        rc = error_memory(e);
    free(name);
    return rc;
}

int adapter_attach(const struct modeldir *dir, struct params *ps, struct error *e)
{
    size_t pairs = 0;
    for (size_t i = 0; i < dir->tensors.n; i++) {
        if (!ends_with(dir->tensors.tensor[i].name, ".lora_A.weight"))
            continue;
        if (attach_one(dir, ps, dir->tensors.tensor[i].name, e) < 0)
            return -1;
        pairs++;
    }
    return pairs ? 0 : error_set(e, STATUS_BAD, "adapter '%s' holds no lora_A.weight of any layer", dir->path);
}

/* bias "all" also writes what modules_to_save has written under its plain name, and what that has replaced. */
static bool spare(const struct modeldir *dir, const char *tensor, const char *name)
{
    if (strstr(tensor, ".original_module."))
        return true;
    size_t room = sizeof prefix + strlen(name);
    char *plain = strstr(tensor, ".modules_to_save.") ? malloc(room) : NULL;
    if (plain)
        snprintf(plain, room, "%s%s", prefix, name);
    bool there = plain && safetensors_find(&dir->tensors, plain);
    free(plain);
    return there;
}

static bool wanted_already(const struct wanted *w, const struct param *p)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->p[i] == p)
            return true;
    return false;
}

/* A tensor that is of no pair takes the place of the base's. */
static int replace_one(const struct modeldir *dir, struct model *m, struct wanted *w, const char *tensor, struct error *e)
{
    char *name = base_name(dir, tensor, "", "", e);
    struct param *p = name ? params_find(&m->params, name) : NULL;
    bool unused = name && spare(dir, tensor, name);
    int rc = name ? 0 : -1;
    if (rc == 0 && !p)
        rc = error_set(e, STATUS_BAD, "adapter '%s': its base model has no '%s' for tensor '%s' to replace", dir->path,
                       name, tensor);
    else if (rc == 0 && p == m->output && ends_with(name, "embed_tokens.weight"))
        rc = error_set(e, STATUS_BAD, "adapter '%s': '%s' would replace an embedding that is the output layer too; "
                                      "that is not supported", dir->path, tensor);
    else if (rc == 0 && !unused && wanted_already(w, p))
        rc = error_set(e, STATUS_BAD, "adapter '%s': '%s' is the second tensor to replace '%s'", dir->path, tensor, name);
    if (rc == 0)
        wanted_add(w, p, tensor);
    if (rc == 0 && unused)
        w->p[w->n - 1] = NULL;
    free(name);
    return rc;
}

int adapter_weights(const struct modeldir *dir, struct model *m, struct error *e)
{
    struct params *ps = &m->params;
    struct wanted w;
    int rc = wanted_begin(&w, ps->n + dir->tensors.n, e);
    for (size_t i = 0; rc == 0 && i < ps->n; i++)
        if (ps->p[i]->kind == PARAM_ADAPTER)
            wanted_add(&w, ps->p[i], ps->p[i]->name);
    for (size_t i = 0; rc == 0 && i < dir->tensors.n; i++)
        if (!strstr(dir->tensors.tensor[i].name, ".lora_"))
            rc = replace_one(dir, m, &w, dir->tensors.tensor[i].name, e);
    if (rc == 0)
        rc = weights_from_dir(ps, dir, &w, false, e);
    wanted_release(&w);
    return rc;
}
