/* kernels/models/config.c - a model from config.json: the registry's lookup, checked keys, named parameters */
#include "kernels/models/arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_size(const json_t *c, const char *key, size_t min, size_t max, size_t *to, char why[WHY])
{
    const json_t *v = json_object_get(c, key);
    json_int_t n = json_integer_value(v);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || n < 0 || (size_t)n < min || (size_t)n > max) {
        snprintf(why, WHY, "'%s' must be a whole number from %zu to %zu", key, min, max);
        return -1;
    }
    *to = (size_t)n;
    return 0;
}

int config_id(const json_t *c, const char *key, int32_t *to, char why[WHY])
{
    const json_t *v = json_object_get(c, key);
    if (!v)
        return 0;
    if (json_is_null(v)) {
        *to = -1;
        return 0;
    }
    size_t id = 0;
    if (config_size(c, key, 0, INT32_MAX, &id, why))
        return -1;
    *to = (int32_t)id;
    return 0;
}

int config_real(const json_t *c, const char *key, double min, double max, double *to, char why[WHY])
{
    const json_t *v = json_object_get(c, key);
    double x = json_number_value(v);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v) || !(x >= min && x <= max)) {
        snprintf(why, WHY, "'%s' must be a number from %g to %g", key, min, max);
        return -1;
    }
    *to = x;
    return 0;
}

int config_bool(const json_t *c, const char *key, bool *to, char why[WHY])
{
    const json_t *v = json_object_get(c, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v)) {
        snprintf(why, WHY, "'%s' must be true or false", key);
        return -1;
    }
    *to = json_is_true(v);
    return 0;
}

/* --- parameters --------------------------------------------------------------------- */
static struct param *param_named(struct model *m, enum param_kind kind, int rank, const size_t *shape, const char *fmt,
                                 va_list ap)
{
    char name[256];
    vsnprintf(name, sizeof name, fmt, ap);
    struct param *p = params_add(&m->params, name, kind, rank, shape);
    if (!p)
        m->failed = true;
    return p;
}

#define NAMED(kind, ...)                                                                            \
    const size_t shape[] = { __VA_ARGS__ };                                                        \
    va_list ap;                                                                                     \
    va_start(ap, fmt);                                                                              \
    struct param *p = param_named(m, kind, (int)(sizeof shape / sizeof *shape), shape, fmt, ap);    \
    va_end(ap)

struct param *model_linear(struct model *m, size_t out, size_t in, const char *fmt, ...)
{
    NAMED(PARAM_LINEAR, out, in);
    return p;
}

struct param *model_table(struct model *m, size_t entries, size_t width, const char *fmt, ...)
{
    NAMED(PARAM_EMBEDDING, entries, width);
    return p;
}

struct param *model_conv(struct model *m, size_t out, size_t in, size_t width, const char *fmt, ...)
{
    NAMED(PARAM_CONV, out, in, width);
    return p;
}

struct param *model_vector(struct model *m, size_t n, enum param_init init, const char *fmt, ...)
{
    NAMED(PARAM_VECTOR, n);
    if (p)
        p->init = init;
    return p;
}

/* --- the model ------------------------------------------------------------------------ */
static const struct arch *arch_find(const char *type, char why[WHY])
{
    size_t at = (size_t)snprintf(why, WHY, "model_type '%.40s' is not known; known are:", type);
    for (size_t i = 0; arch_list[i]; i++)
        for (const char *const *name = arch_list[i]->types; *name; name++) {
            if (!strcmp(*name, type))
                return arch_list[i];
            if (at < WHY)
                at += (size_t)snprintf(why + at, WHY - at, " %s", *name);
        }
    return NULL;
}

/* As many positions as keep half a GB in the layers, by some 20 bytes a feature: with fewer, gradients would be added up
 * again and again for little.  4,096 at least, with which products are as fast as with more. */
static size_t part_of(const struct model *m)
{
    const size_t least = 4096, kept = m->layers * m->output->shape[1] * 20, most = kept ? ((size_t)512 << 20) / kept : least;
    return most > least ? most : least;
}

static struct model *model_make(const json_t *config, char why[WHY])
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    if (!type) {
        snprintf(why, WHY, "no 'model_type'");
        return NULL;
    }
    const struct arch *arch = arch_find(type, why);
    struct model *m = arch ? calloc(1, sizeof *m) : NULL;
    if (!m)
        return NULL;
    m->arch = arch;
    m->pad_id = m->start_id = -1;
    m->model_type = strdup(type);
    m->config = calloc(1, arch->config_size);
    if (!m->config || !m->model_type)
        m->failed = true;
    else if (arch->configure(m, config, why)) {
        model_free(m);
        return NULL;
    }
    if (m->failed) {
        snprintf(why, WHY, "out of memory");
        model_free(m);
        return NULL;
    }
    m->part = part_of(m);
    return m;
}

struct model *model_new(const char *config, size_t size, char why[WHY])
{
    json_error_t e;
    json_t *c = json_loadb(config, size, JSON_REJECT_DUPLICATES, &e);
    if (!c) {
        snprintf(why, WHY, "line %d: %.150s", e.line, e.text);
        return NULL;
    }
    struct model *m = model_make(c, why);
    json_decref(c);
    return m;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    if (m->arch->release && m->config)
        m->arch->release(m->config);
    params_release(&m->params);
    free((void *)(uintptr_t)m->model_type);
    free(m->config);
    free(m);
}
