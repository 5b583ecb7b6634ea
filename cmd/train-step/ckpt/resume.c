/* cmd/train-step/ckpt/resume.c - see resume.h */
#include "cmd/train-step/ckpt/resume.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/ckpt/dest.h"
#include "libcommon/sys/log.h"

/* The newest checkpoint, sound.  Another writer may still be removing the one
 * that was newest a moment ago, so a failure is looked at twice. */
static int find(struct trainer *t, struct error *e)
{
    for (int again = 0; ; again++) {
        char *path;
        int rc = ckpt_find(t->o->resume, &path, e);
        if (rc <= 0)
            return rc;
        bool same = t->resumed && !strcmp(path, t->resumed);
        free(t->resumed);
        t->resumed = path;
        if (ckpt_check(path, e) == 0)
            return 1;
        if (again && same)
            return -1;
    }
}

int resume_state(struct trainer *t, struct error *e)
{
    if (!t->o->resume)
        return 0;
    int rc = find(t, e);
    if (rc == 0)
        note("'%s' holds no checkpoint yet: training starts from '%s'", t->o->resume, t->o->model);
    if (rc <= 0)
        return rc;
    if (state_read(&t->state, t->o, t->resumed, e) < 0)
        return -1;
    t->saved = t->state.step;
    note("goes on after step %" PRIu64 " from '%s'", t->state.step, t->resumed);
    return 0;
}

int resume_check(const struct trainer *t, const struct header *h, struct error *e)
{
    struct span run = header_run(h);
    if (!t->resumed || (run.size == t->state.run_size && !memcmp(run.data, t->state.run, run.size)))
        return 0;
    return error_set(e, STATUS_BAD, "this stream is of another run than '%s' was trained on: another manifest, seed "
                                    "or order; give the same to its source, or train without --resume", t->resumed);
}

/* name + suffix; malloc'd */
static char *tensor_name(const char *name, const char *suffix)
{
    size_t room = strlen(name) + strlen(suffix) + 1;
    char *text = malloc(room);
    if (text)
        snprintf(text, room, "%s%s", name, suffix);
    return text;
}

/* name + suffix of the parameter's shape into `to`: 1, 0 if there is none, or -1. */
static int take(const struct safetensors *st, const struct param *p, const char *suffix, float *to, struct error *e)
{
    char *name = tensor_name(p->name, suffix);
    if (!name)
        return error_memory(e);
    const struct st_tensor *found = safetensors_find(st, name);
    free(name);
    if (!found)
        return 0;
    bool same = found->rank == p->rank;
    for (int i = 0; same && i < p->rank; i++)
        same = found->shape[i] == p->shape[i];
    if (!same)
        return error_set(e, STATUS_BAD, "tensor '%s' has another shape than what is trained here: were its --lora "
                                        "options others?", found->name);
    return st_to_f32(found, to, e) < 0 ? -1 : 1;
}

static int take_steps(const struct safetensors *st, struct param *p)
{
    char *name = tensor_name(p->name, ".step");
    const struct st_tensor *found = name ? safetensors_find(st, name) : NULL;
    free(name);
    int64_t steps;
    if (!found || found->dtype != ST_I64 || found->data.size != sizeof steps)
        return 0;
    memcpy(&steps, found->data.data, sizeof steps);
    p->steps = (uint64_t)steps;
    return 1;
}

static int take_param(struct trainer *t, struct param *p, const struct safetensors *weights,
                      const struct safetensors *optim, struct error *e)
{
    const char *dir = t->resumed;
    int rc = take(optim, p, ".master", p->data, e);
    if (rc == 0)
        rc = take(weights, p, "", p->data, e);
    if (rc == 0)
        return error_set(e, STATUS_BAD, "checkpoint '%s' lacks tensor '%s': was it made with other --lora options?",
                         dir, p->name);
    if (rc > 0)
        rc = take(optim, p, ".exp_avg", p->m, e);
    if (rc > 0)
        rc = take(optim, p, ".exp_avg_sq", p->v, e);
    if (rc > 0)
        rc = take_steps(optim, p);
    if (rc == 0)
        return error_set(e, STATUS_BAD, "checkpoint '%s' has no moments of '%s': was it not trained then? Give the "
                                        "same --freeze", dir, p->name);
    return rc < 0 ? error_prefix(e, "checkpoint '%s'", dir) : 0;
}

/* What is frozen now keeps what it learnt before; what never learnt is as in --model. */
static int take_frozen(struct trainer *t, struct param *p, const struct safetensors *weights,
                       const struct safetensors *optim, struct error *e)
{
    char *name = tensor_name(p->name, ".exp_avg");
    bool learnt = name && safetensors_find(optim, name);
    free(name);
    if (!learnt)
        return 0;
    float *data = malloc(p->count * sizeof *data);      /* --model's may be a file, mapped; kept until the end */
    if (!data)
        return error_memory(e);
    int rc = take(optim, p, ".master", data, e);
    if (rc == 0)
        rc = take(weights, p, "", data, e);
    p->data = rc > 0 ? data : p->data;
    if (rc <= 0)
        free(data);
    return rc < 0 ? error_prefix(e, "checkpoint '%s'", t->resumed) : 0;
}

static int open_in(const char *dir, const char *name, struct safetensors *st, struct error *e)
{
    char *path = path_join(dir, name);
    int rc = path ? safetensors_open(path, st, e) : error_memory(e);
    free(path);
    return rc;
}

/* An adapter goes on as an adapter, a model as a model. */
static int open_weights(struct trainer *t, struct safetensors *weights, struct error *e)
{
    static const char *const names[] = { "model.safetensors", "adapter_model.safetensors" };
    bool lora = t->o->lora;
    char *other = path_join(t->resumed, names[!lora]), *own = path_join(t->resumed, names[lora]);
    int rc = other && own ? 0 : error_memory(e);
    if (rc == 0 && access(own, F_OK) < 0 && access(other, F_OK) == 0)
        rc = error_set(e, STATUS_BAD, "checkpoint '%s' is of %s: go on with%s --lora-... options", t->resumed,
                       lora ? "a whole model" : "an adapter", lora ? "out" : " its");
    if (rc == 0)
        rc = safetensors_open(own, weights, e);
    free(own);
    free(other);
    return rc;
}

int resume_weights(struct trainer *t, struct error *e)
{
    if (!t->resumed)
        return 0;
    struct safetensors weights, optim;
    if (open_weights(t, &weights, e) < 0)
        return -1;
    if (open_in(t->resumed, "optimizer.safetensors", &optim, e) < 0) {
        safetensors_close(&weights);
        return -1;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->model->params.n; i++) {
        struct param *p = t->model->params.p[i];
        rc = p->trained ? take_param(t, p, &weights, &optim, e) : take_frozen(t, p, &weights, &optim, e);
    }
    safetensors_close(&weights);
    safetensors_close(&optim);
    return rc;
}
