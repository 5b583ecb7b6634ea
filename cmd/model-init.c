/* cmd/model-init.c - a model directory with random weights, from a configuration
 *
 * Weights are drawn as transformers draws them (normal with the configuration's
 * deviation, norms 1, biases 0, sinusoids), keyed by seed and tensor name: the
 * same seed gives the same bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/shared/model/load.h"
#include "cmd/shared/model/save.h"
#include "cmd/shared/model/tensor_list.h"
#include "cmd/shared/text/tokens.h"
#include "libcommon/cli/opt.h"
#include "libcommon/sys/log.h"

/* Keys that there are, for the nearest name. */
static const char *key_nearest(const json_t *config, const char *key)
{
    size_t n = json_object_size(config), i = 0;
    const char **names = calloc(n + 1, sizeof *names), *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, name, value)
        if (names)
            names[i++] = name;
    const char *near = names ? opt_nearest(key, names) : NULL;
    free(names);
    return near;
}

/* "key=value": a key that the configuration has. */
static void set_one(struct modeldir *dir, char *text)
{
    char *value = strchr(text, '=');
    if (!value)
        die(STATUS_BAD, "--set wants KEY=VALUE,..., not '%s'", text);
    *value++ = 0;
    if (!json_object_get(dir->json, text)) {
        const char *near = key_nearest(dir->json, text);
        die(STATUS_BAD, "--set: '%s' has no key '%s'%s%s%s", dir->path, text, near ? "; the nearest is '" : "",
            near ? near : "", near ? "'" : "");
    }
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    json_object_set_new(dir->json, text, v ? v : json_string(value));
}

static void set_all(struct modeldir *dir, const char *text)
{
    size_t n;
    char **words = opt_list(text, &n);
    for (size_t i = 0; words && i < n; i++)
        set_one(dir, words[i]);
    char *config = words ? json_dumps(dir->json, JSON_INDENT(2)) : NULL;
    buf_clear(&dir->config);
    buf_printf(&dir->config, "%s\n", config ? config : "");
    if (!config || dir->config.failed)
        die(STATUS_AGAIN, "out of memory");
    free(config);
    free(words);
}

/* A vocabulary that lacks ids of its tokenizer would fail at the first sample, far from here. */
static void tokenizer_check(const char *dir, const struct model *m)
{
    struct error e;
    char *path = path_join(dir, "tokenizer.json");
    if (path && access(path, F_OK) == 0) {
        struct tokenizer *t = tokenizer_from_dir(dir, &e);
        if (!t)
            die(e.status, "%s", e.text);
        if ((size_t)tokenizer_text_size(t) > m->vocab)
            die(STATUS_BAD, "'%s' has %d ids, but the configuration's vocab_size is %zu", path,
                (int)tokenizer_text_size(t), m->vocab);
        tokenizer_free(t);
    }
    free(path);
}

/* As PyTorch's padding_idx: the padding's row of an embedding is 0. */
static void weights_draw(struct model *m, uint64_t seed)
{
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        param_init(p, seed);
        if (p->kind == PARAM_EMBEDDING && p->shape[0] == m->vocab && m->pad_id >= 0 && (size_t)m->pad_id < m->vocab)
            memset(p->data + (size_t)m->pad_id * p->shape[1], 0, p->shape[1] * sizeof *p->data);
    }
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    int64_t seed = 42;
    const char *extras = NULL, *set = NULL, *dtype = "float32";
    const struct opt opts[] = {
        { OPT_STRING, .name = "tokenizer", .value = &extras, .arg = "DIR",
          .help = "take tokenizer and preprocessor files from there" },
        { OPT_STRING, .name = "set", .value = &set, .arg = "KEY=VALUE,...",
          .help = "change keys of the configuration" },
        { OPT_INT, .name = "seed", .value = &seed, .arg = "N", .min = 0, .max = 1e15, .help = "of the weights" },
        { OPT_CHOICE, .name = "dtype", .value = &dtype, .arg = "TYPE", .choices = dtype_names,
          .help = "of the stored weights" },
        { .name = NULL },
    };
    const struct program program = {
        .name = "model-init", .operands = "CONFIG DIR", .min_operands = 2, .max_operands = 2, .opts = opts,
        .summary = "a model directory with random weights, from config.json or a directory that has one",
    };
    int at = opt_parse(&program, &c, OPT_NO_IN | OPT_NO_OUT, argc, argv);
    struct modeldir dir;
    struct error e = { 0 };
    char why[WHY];
    if (modeldir_open_config(argv[at], &dir, &e) < 0)
        die(e.status, "%s", e.text);
    if (set)
        set_all(&dir, set);
    struct model *m = model_from_config(&dir, &e);
    if (!m)
        die(e.status, "%s", e.text);
    struct stat st;
    if (extras && (stat(extras, &st) < 0 || !S_ISDIR(st.st_mode)))
        die(STATUS_BAD, "--tokenizer '%s' is no directory", extras);
    tokenizer_check(extras ? extras : dir.path, m);
    if (params_reserve(&m->params, false, why) < 0)
        die(STATUS_AGAIN, "no memory for the weights: %s", why);
    weights_draw(m, (uint64_t)seed);
    if (model_save(argv[at + 1], &dir, extras ? extras : dir.path, &m->params, dtype, &e) < 0)
        die(e.status, "%s", e.text);
    note("'%s': %zu parameters", argv[at + 1], params_count(&m->params, false));
    model_free(m);
    modeldir_close(&dir);
    return STATUS_OK;
}
