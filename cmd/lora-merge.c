/* cmd/lora-merge.c - an adapter and its base become one model directory
 *
 * W + scale B A in float32, for each weight that carries an adapter. */
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/cli/local_dir.h"
#include "cmd/shared/cli/machine.h"
#include "cmd/shared/model/load.h"
#include "cmd/shared/model/save.h"
#include "cmd/shared/model/tensor_list.h"
#include "kernels/nn/param/lora.h"
#include "libcommon/cli/opt.h"
#include "libcommon/sys/log.h"

static bool merged(const struct param *p) { return p->lora.a || p->kind == PARAM_ADAPTER; }

/* Weights that carry an adapter, and these, move out of the files' maps, which cannot be written. */
static float *writable(struct params *ps, struct error *e)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < ps->n; i++)
        total += merged(ps->p[i]) ? ps->p[i]->count : 0;
    float *memory = malloc((total + 1) * sizeof *memory);
    if (!memory)
        error_set(e, STATUS_AGAIN, "no memory for the merged weights");
    for (size_t i = 0; memory && i < ps->n; i++) {
        struct param *p = ps->p[i];
        if (!merged(p))
            continue;
        memcpy(memory + at, p->data, p->count * sizeof *memory);
        p->data = memory + at;
        at += p->count;
    }
    return memory;
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    const char *base = NULL, *dtype = "float32";
    const struct opt opts[] = {
        { OPT_STRING, .name = "model", .value = &base, .arg = "DIR",
          .help = "the base model, if not where the adapter says" },
        { OPT_CHOICE, .name = "dtype", .value = &dtype, .arg = "TYPE", .choices = dtype_names,
          .help = "of the stored weights" },
        { .name = NULL },
    };
    const struct program program = {
        .name = "lora-merge", .operands = "ADAPTER OUT", .min_operands = 2, .max_operands = 2, .opts = opts,
        .summary = "an adapter's directory and its base become one model directory",
    };
    int at = opt_parse(&program, &c, OPT_NO_IN | OPT_NO_OUT | OPT_THREADS, argc, argv);
    const char *from = local_dir(argv[at]), *to = argv[at + 1];
    base = local_dir(base);
    struct error e = { 0 };
    struct loaded l;
    struct machine machine;
    float *memory;
    if (model_load(from, base, &l, &e) < 0)
        die(e.status, "%s", e.text);
    if (!l.adapter.path)
        die(STATUS_BAD, "'%s' is no adapter: it has no adapter_config.json, or has a config.json too", from);
    if (machine_open(&machine, c.threads, "none", &e) < 0 || !(memory = writable(&l.model->params, &e)))
        die(e.status, "%s", e.text);
    lora_merge(&machine.compute, &l.model->params);
    if (model_save(to, &l.dir, l.dir.path, &l.model->params, dtype, &e) < 0)
        die(e.status, "%s", e.text);
    note("'%s': '%s' merged into '%s'", to, from, l.dir.path);
    model_unload(&l);
    free(memory);
    machine_close(&machine);
    return STATUS_OK;
}
