/* cmd/shared/model/save.c - see save.h */
#include "cmd/shared/model/save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/shared/model/tensor_list.h"

int config_text(const struct modeldir *dir, const char *dtype, struct buf *b, struct error *e)
{
    buf_init(b, 64 << 20);
    const char *key = json_object_get(dir->json, "torch_dtype") ? "torch_dtype" : "dtype";
    const char *now = json_string_value(json_object_get(dir->json, key));
    if (now ? !strcmp(now, dtype) : !strcmp(dtype, "float32")) {
        buf_append(b, dir->config.data, dir->config.size);
    } else {
        json_t *j = json_copy(dir->json);
        char *text = j && !json_object_set_new(j, key, json_string(dtype)) ? json_dumps(j, JSON_INDENT(2)) : NULL;
        json_decref(j);
        if (!text)
            return error_set(e, STATUS_AGAIN, "out of memory for config.json");
        buf_printf(b, "%s\n", text);
        free(text);
    }
    return b->failed ? error_set(e, STATUS_AGAIN, "out of memory for config.json") : 0;
}

static int put_file(void *ctx, const char *name, struct span bytes, struct error *e)
{
    char *path = path_join(ctx, name);
    int rc = path ? file_replace(path, bytes.data, bytes.size, e) : error_memory(e);
    free(path);
    return rc;
}

static int put_weights(const char *path, const struct params *ps, const char *dtype, struct error *e)
{
    struct tensor_list l = { 0 };
    char *file = path_join(path, "model.safetensors");
    int rc = file ? tensor_list_add_weights(&l, ps, false, dtype_by_name(dtype), e) :
             error_memory(e);
    if (rc == 0)
        rc = tensor_list_write(&l, file, e);
    tensor_list_release(&l);
    free(file);
    return rc;
}

int model_save(const char *path, const struct modeldir *dir, const char *extras, const struct params *ps,
               const char *dtype, struct error *e)
{
    struct buf config;
    bool full = rmdir(path) < 0 && (errno == ENOTEMPTY || errno == EEXIST);
    if (access(path, F_OK) == 0)
        return error_set(e, STATUS_BAD, "'%s' is there already%s", path, full ? " and not empty" : "");
    int rc = config_text(dir, dtype, &config, e);
    if (rc == 0)
        rc = dir_make(path, e);
    if (rc == 0)
        rc = modeldir_each_extra(extras, put_file, (void *)(uintptr_t)path, e);
    if (rc == 0)
        rc = put_weights(path, ps, dtype, e);
    if (rc == 0)                /* last: a directory without it is no model */
        rc = put_file((void *)(uintptr_t)path, "config.json", span_of(config.data, config.size), e);
    buf_release(&config);
    return rc;
}
