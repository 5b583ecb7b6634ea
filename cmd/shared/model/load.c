/* cmd/shared/model/load.c - see load.h */
#include "cmd/shared/model/load.h"

#include <unistd.h>

#include "cmd/shared/model/adapter.h"

struct model *model_from_config(const struct modeldir *dir, struct error *e)
{
    char why[WHY];
    struct model *m = model_new((const char *)dir->config.data, dir->config.size, why);
    if (!m)
        error_set(e, STATUS_BAD, "'%s/config.json': %s", dir->path, why);
    return m;
}

/* Opens the base of the adapter in l->adapter, and puts the adapter onto it. */
static int load_adapter(struct loaded *l, const char *base, struct error *e)
{
    const char *named = json_string_value(json_object_get(l->adapter.json, "base_model_name_or_path")),
               *name = base ? base : named;
    if (adapter_check(&l->adapter, e) < 0)
        return -1;
    if (!name)
        return error_set(e, STATUS_BAD, "'%s' is an adapter and does not name its base model", l->adapter.path);
    char *beside = path_join(l->adapter.path, name);
    if (!beside)
        return error_memory(e);
    bool here = base || access(name, F_OK) == 0;
    int rc = here || access(beside, F_OK) == 0 ? modeldir_open(here ? name : beside, &l->dir, e) :
             error_set(e, STATUS_BAD, "'%s' is no directory, from here or from the adapter: name the one that it lies in",
                       name);
    free(beside);
    if (rc < 0)
        return error_prefix(e, "base model of adapter '%s'", l->adapter.path);
    if (!(l->model = model_from_config(&l->dir, e)))
        return -1;
    return adapter_attach(&l->adapter, &l->model->params, e);
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
        rc = adapter_weights(&l->adapter, l->model, e);
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
