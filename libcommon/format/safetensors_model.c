/* libcommon/format/safetensors_model.c - the weights of a model directory, one file or shards
 *
 * Index: {"weight_map": {tensor: file}}; https://huggingface.co/docs/transformers/big_models */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/format/json.h"
#include "libcommon/format/safetensors.h"
#include "libcommon/format/safetensors_impl.h"

/* A shard is a file beside the index, nothing else: the index may come from anywhere. */
static bool shard_name_ok(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

/* Moves what one holds to the end of all. */
static int shard_append(struct safetensors *all, struct safetensors *one, struct error *e)
{
    struct st_tensor *tensor = realloc(all->tensor, (all->n + one->n + 1) * sizeof *tensor);
    if (tensor)
        all->tensor = tensor;
    struct file_map *maps = realloc(all->maps, (all->n_maps + one->n_maps) * sizeof *maps);
    if (maps)
        all->maps = maps;
    if (!tensor || !maps || json_array_extend(all->json, one->json) < 0)
        return error_memory(e);
    memcpy(tensor + all->n, one->tensor, one->n * sizeof *tensor);
    memcpy(maps + all->n_maps, one->maps, one->n_maps * sizeof *maps);
    all->n += one->n;
    all->n_maps += one->n_maps;
    one->n_maps = 0;
    return 0;
}

static int shard_open(const char *dir, const char *name, struct safetensors *all, struct error *e)
{
    if (!shard_name_ok(name))
        return error_set(e, STATUS_BAD, "'%s/model.safetensors.index.json': '%s' is no name of a file beside it", dir, name);
    char *path = path_join(dir, name);
    if (!path)
        return error_memory(e);
    struct safetensors one;
    int r = safetensors_open(path, &one, e);
    free(path);
    if (r < 0)
        return -1;
    r = shard_append(all, &one, e);
    safetensors_close(&one);
    return r;
}

static int shards_check(const char *dir, const struct safetensors *all, const json_t *weight_map, struct error *e)
{
    const char *name;
    json_t *file;
    for (size_t i = 1; i < all->n; i++)
        if (!strcmp(all->tensor[i - 1].name, all->tensor[i].name))
            return error_set(e, STATUS_BAD, "'%s': tensor '%s' is in two shards", dir, all->tensor[i].name);
    json_object_foreach((json_t *)weight_map, name, file)
        if (!safetensors_find(all, name))
            return error_set(e, STATUS_BAD, "'%s/%s': tensor '%s', which the index promises, is missing", dir,
                             json_string_value(file), name);
    return 0;
}

static int shards_open(const char *dir, const json_t *index, struct safetensors *all, struct error *e)
{
    json_t *weight_map = json_object_get(index, "weight_map");
    if (!json_is_object(weight_map))
        return error_set(e, STATUS_BAD, "'%s/model.safetensors.index.json': \"weight_map\" is missing", dir);
    json_t *seen = json_object();
    all->json = json_array();
    if (!seen || !all->json) {
        json_decref(seen);
        return error_memory(e);
    }
    const char *name;
    json_t *file;
    int r = 0;
    json_object_foreach(weight_map, name, file) {
        const char *shard = json_string_value(file);
        if (!shard) {
            r = error_set(e, STATUS_BAD, "'%s/model.safetensors.index.json': the file of tensor '%s' is no text", dir, name);
            break;
        }
        if (json_object_get(seen, shard))
            continue;
        if (json_object_set_new(seen, shard, json_true()) < 0)
            r = error_memory(e);
        if (r < 0 || (r = shard_open(dir, shard, all, e)) < 0)
            break;
    }
    json_decref(seen);
    if (r < 0)
        return -1;
    st_sort(all);
    return shards_check(dir, all, weight_map, e);
}

int safetensors_open_model(const char *dir, struct safetensors *st, struct error *e)
{
    *st = (struct safetensors){ 0 };
    char *path = path_join(dir, "model.safetensors");
    if (!path)
        return error_memory(e);
    struct error why = { 0 };
    json_t *index = NULL;
    int r;
    if (access(path, F_OK) == 0 || (!(index = json_read_in(dir, "model.safetensors.index.json", &why)) && why.status == 0)) {
        r = safetensors_open(path, st, e);
    } else if (!index) {
        r = error_set(e, why.status, "%s", why.text);
    } else if ((r = shards_open(dir, index, st, e)) < 0) {
        safetensors_close(st);
    }
    json_decref(index);
    free(path);
    return r;
}
