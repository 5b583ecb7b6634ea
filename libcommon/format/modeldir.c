/* libcommon/format/modeldir.c - see modeldir.h */
#include "libcommon/format/modeldir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_MAX = 16 << 20, EXTRA_MAX = 256 << 20 };

static const char *const extras[] = {
    "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "generation_config.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json",
    "normalizer.json", "chat_template.json", "chat_template.jinja", "tokenizer.model",
};
static const char *const tied[] = { "proj_out.weight", "lm_head.weight" };

static bool has_file(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Where path is the file itself: m->path becomes its directory. */
static int split_path(const char *path, struct modeldir *m, const char **name, struct error *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return error_set(e, STATUS_BAD, "cannot open model '%s': %s; a model is a directory (or a URL of one), not a name "
                                        "on the Hugging Face Hub", path, strerror(errno));
    const char *slash = strrchr(path, '/');
    bool file = S_ISREG(st.st_mode);
    m->path = !file ? strdup(path) : slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!m->path)
        return error_memory(e);
    if (!file && !S_ISDIR(st.st_mode))
        return error_set(e, STATUS_BAD, "'%s' is no directory; a model is a directory with config.json and "
                                        "model.safetensors", path);
    m->adapter = !file && has_file(path, "adapter_config.json") && !has_file(path, "config.json");
    *name = !file ? m->adapter ? "adapter_config.json" : "config.json" : slash ? slash + 1 : path;
    return has_file(m->path, *name) ? 0 : error_set(e, STATUS_BAD, "'%s' is no model directory: it has no config.json",
                                                    path);
}

int modeldir_open_config(const char *path, struct modeldir *m, struct error *e)
{
    *m = (struct modeldir){ 0 };
    buf_init(&m->config, CONFIG_MAX);
    const char *name = NULL;
    char *file = NULL;
    int rc = split_path(path, m, &name, e);
    if (rc == 0 && !(file = path_join(m->path, name)))
        rc = error_memory(e);
    if (rc == 0)
        rc = file_read(file, &m->config, e);
    if (rc == 0 && !(m->json = json_parse(span_of(m->config.data, m->config.size), file, e)))
        rc = -1;
    if (rc == 0 && !json_is_object(m->json))
        rc = error_set(e, STATUS_BAD, "'%s' is no JSON object", file);
    free(file);
    if (rc < 0)
        modeldir_close(m);
    return rc;
}

static int open_tensors(struct modeldir *m, struct error *e)
{
    if (!m->adapter && !has_file(m->path, "model.safetensors") && !has_file(m->path, "model.safetensors.index.json"))
        return error_set(e, STATUS_BAD, "'%s' has no model.safetensors%s", m->path,
                         has_file(m->path, "pytorch_model.bin") ? " (only pytorch_model.bin, which can run code: "
                                                                  "save it again with safetensors)" : "");
    if (!m->adapter)
        return safetensors_open_model(m->path, &m->tensors, e);
    char *file = path_join(m->path, "adapter_model.safetensors");
    int rc = file ? safetensors_open(file, &m->tensors, e) : error_memory(e);
    free(file);
    return rc;
}

int modeldir_open(const char *path, struct modeldir *m, struct error *e)
{
    if (modeldir_open_config(path, m, e) < 0)
        return -1;
    if (open_tensors(m, e) == 0)
        return 0;
    m->tensors = (struct safetensors){ 0 };
    modeldir_close(m);
    return -1;
}

void modeldir_close(struct modeldir *m)
{
    safetensors_close(&m->tensors);
    json_decref(m->json);
    buf_release(&m->config);
    free(m->path);
    *m = (struct modeldir){ 0 };
}

void modeldir_forget(const struct modeldir *m)
{
    for (size_t i = 0; i < m->tensors.n_maps; i++)
        if (m->tensors.maps[i].size)
            (void)madvise((void *)(uintptr_t)m->tensors.maps[i].data, m->tensors.maps[i].size, MADV_DONTNEED);
}

static void shape_text(char *to, size_t room, int rank, const size_t *a, const uint64_t *b)
{
    size_t n = (size_t)snprintf(to, room, "[");
    for (int i = 0; i < rank && n < room; i++)
        n += (size_t)snprintf(to + n, room - n, "%s%" PRIu64, i ? ", " : "", a ? (uint64_t)a[i] : b[i]);
    if (n < room)
        snprintf(to + n, room - n, "]");
}

static int match_one(const struct modeldir *m, struct tensor_want *w, struct error *e)
{
    w->found = safetensors_find(&m->tensors, w->name);
    if (!w->found)
        return w->optional ? 0 : error_set(e, STATUS_BAD, "model '%s' lacks tensor '%s', which its configuration needs",
                                           m->path, w->name);
    bool same = w->found->rank == w->rank;
    for (int i = 0; same && i < w->rank; i++)
        same = w->found->shape[i] == w->shape[i];
    if (same)
        return 0;
    char got[128], want[128];
    shape_text(got, sizeof got, w->found->rank, NULL, w->found->shape);
    shape_text(want, sizeof want, w->rank, w->shape, NULL);
    return error_set(e, STATUS_BAD, "model '%s': tensor '%s' has shape %s, but its configuration says %s", m->path,
                     w->name, got, want);
}

static int by_address(const void *a, const void *b)
{
    const struct st_tensor *x = *(const struct st_tensor *const *)a, *y = *(const struct st_tensor *const *)b;
    return x < y ? -1 : x > y;
}

int modeldir_match(const struct modeldir *m, struct tensor_want *want, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++)
        if (match_one(m, &want[i], e) < 0)
            return -1;
    const struct st_tensor **used = malloc((n + 1) * sizeof *used);
    if (!used)
        return error_memory(e);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (want[i].found)
            used[k++] = want[i].found;
    qsort(used, k, sizeof *used, by_address);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->tensors.n; i++) {
        const struct st_tensor *t = &m->tensors.tensor[i];
        bool fine = bsearch(&t, used, k, sizeof *used, by_address) != NULL;
        for (size_t j = 0; !fine && j < sizeof tied / sizeof *tied; j++)
            fine = !strcmp(t->name, tied[j]);
        if (!fine)
            rc = error_set(e, STATUS_BAD, "model '%s' has a tensor that its configuration knows nothing of: '%s'",
                           m->path, t->name);
    }
    free(used);
    return rc;
}

int modeldir_each_extra(const char *dir, int (*each)(void *ctx, const char *name, struct span bytes, struct error *e),
                        void *ctx, struct error *e)
{
    struct buf b;
    buf_init(&b, EXTRA_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof extras / sizeof *extras; i++) {
        if (!has_file(dir, extras[i]))
            continue;
        char *path = path_join(dir, extras[i]);
        buf_clear(&b);
        rc = path ? file_read(path, &b, e) : error_memory(e);
        free(path);
        if (rc == 0)
            rc = each(ctx, extras[i], span_of(b.data, b.size), e);
    }
    buf_release(&b);
    return rc;
}
