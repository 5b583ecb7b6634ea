/* cmd/shared/model_tokens.c - see model_tokens.h */
#include "cmd/shared/model_tokens.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer *tokenizer_from_dir(const char *dir, struct error *e)
{
    struct tokenizer *t = NULL;
    struct file_map map;
    char why[WHY], *path = path_join(dir, "tokenizer.json");
    if (!path) {
        error_set(e, STATUS_AGAIN, "out of memory");
        return NULL;
    }
    if (file_map_open(path, &map, e) == 0) {
        t = tokenizer_new((const char *)map.data, map.size, why);
        if (!t)
            error_set(e, STATUS_BAD, "'%s': %s", path, why);
        file_map_close(&map);
    }
    free(path);
    return t;
}

int rules_from_dir(struct rules *r, const struct modeldir *dir, size_t vocab, struct error *e)
{
    char why[WHY];
    e->status = 0;
    json_t *settings = json_read_in(dir->path, "generation_config.json", e);
    if (!settings && e->status)
        return -1;
    char *text = settings ? json_dumps(settings, 0) : NULL;
    int rc = rules_read(r, text ? text : (const char *)dir->config.data, text ? strlen(text) : dir->config.size, vocab, why);
    if (rc < 0)
        error_set(e, STATUS_BAD, "'%s/%s': %s", dir->path, text ? "generation_config.json" : "config.json", why);
    free(text);
    json_decref(settings);
    json_int_t end = json_integer_value(json_object_get(dir->json, "eos_token_id"));
    if (rc == 0 && !r->n_end && end > 0 && (size_t)end < vocab)
        r->end[r->n_end++] = (int32_t)end;
    return rc;
}
