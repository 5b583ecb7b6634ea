/* cmd/train-step/ckpt/checkpoint.c - see checkpoint.h */
#include "cmd/train-step/ckpt/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/model/save.h"
#include "cmd/shared/model/tensor_list.h"
#include "cmd/train-step/ckpt/remote.h"
#include "cmd/train-step/eval/eval.h"
#include "cmd/train-step/setup/adapter.h"
#include "kernels/nn/optim/optim.h"
#include "libcommon/sys/log.h"

struct outfile { struct trainer *t; const char *file; };

static int file_begin(void *ctx, uint64_t size, struct error *e)
{
    const struct outfile *f = ctx;
    return ckpt_put_file(f->t->out, f->t->state.step, f->file, size, e);
}

static int file_put(void *ctx, const void *data, size_t n, struct error *e)
{
    const struct outfile *f = ctx;
    return ckpt_put_bytes(f->t->out, data, n, e);
}

static int tensors_put(struct trainer *t, const char *file, const struct tensor_list *l, struct error *e)
{
    struct outfile f = { t, file };
    return tensor_list_put(l, &(struct tensor_sink){ file_begin, file_put, &f }, e);
}

static int put_weights(struct trainer *t, struct error *e)
{
    struct tensor_list l = { 0 };
    int rc = tensor_list_add_weights(&l, &t->model->params, t->o->lora, dtype_by_name(t->o->save_dtype), e);
    if (rc == 0)
        rc = tensors_put(t, t->o->lora ? "adapter_model.safetensors" : "model.safetensors", &l, e);
    tensor_list_release(&l);
    return rc;
}

/* Moments and step counts; the weights too where the model's file rounds them. */
static int put_optimizer(struct trainer *t, struct error *e)
{
    struct tensor_list l = { 0 };
    const struct params *ps = &t->model->params;
    int64_t *steps = calloc(ps->n + 1, sizeof *steps);
    bool masters = dtype_by_name(t->o->save_dtype) != ST_F32;
    int rc = steps ? 0 : error_set(e, STATUS_AGAIN, "out of memory for a checkpoint");
    for (size_t i = 0; rc == 0 && i < ps->n; i++) {
        steps[i] = (int64_t)ps->p[i]->steps;
        if (ps->p[i]->trained)
            rc = tensor_list_add(&l, ps->p[i], ".step", ST_I64, &steps[i], e);
    }
    for (size_t i = 0; rc == 0 && i < ps->n; i++) {
        const struct param *p = ps->p[i];
        if (!p->trained)
            continue;
        rc = masters ? tensor_list_add(&l, p, ".master", ST_F32, p->data, e) : 0;
        if (rc == 0)
            rc = tensor_list_add(&l, p, ".exp_avg", ST_F32, p->m, e);
        if (rc == 0)
            rc = tensor_list_add(&l, p, ".exp_avg_sq", ST_F32, p->v, e);
    }
    if (rc == 0)
        rc = tensors_put(t, "optimizer.safetensors", &l, e);
    tensor_list_release(&l);
    free(steps);
    return rc;
}

static int put_json(struct trainer *t, const char *name, json_t *j, struct error *e)
{
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    int rc = text ? ckpt_put_whole(t->out, t->state.step, name, text, strlen(text), e)
                  : error_set(e, STATUS_AGAIN, "out of memory for '%s'", name);
    free(text);
    json_decref(j);
    return rc;
}

static int put_config(struct trainer *t, struct error *e)
{
    struct buf b;
    int rc = config_text(&t->dir, t->o->save_dtype, &b, e);
    if (rc == 0)
        rc = ckpt_put_whole(t->out, t->state.step, "config.json", b.data, b.size, e);
    buf_release(&b);
    return rc;
}

static int put_extra(void *ctx, const char *name, struct span bytes, struct error *e)
{
    struct trainer *t = ctx;
    return ckpt_put_whole(t->out, t->state.step, name, bytes.data, bytes.size, e);
}

static int put_state(struct trainer *t, struct error *e)
{
    struct buf b;
    buf_init(&b, 1 << 30);
    int rc = state_write(&t->state, t->o, &b, e);
    if (rc == 0)
        rc = ckpt_put_whole(t->out, t->state.step, "trainer_state.json", b.data, b.size, e);
    buf_release(&b);
    return rc;
}

int checkpoint_write(struct trainer *t, struct error *e)
{
    if (t->saved == t->state.step)
        return 0;
    adamw_end(&t->machine.compute, &t->model->params);
    if (t->evaluated == t->state.step && eval_metric(t) < t->state.best_metric) {
        t->state.best_metric = eval_metric(t);
        t->state.best_step = t->state.step;
    }
    if ((t->o->lora ? put_json(t, "adapter_config.json", adapter_config(t), e) : put_config(t, e)) < 0 ||
        modeldir_each_extra(t->dir.path, put_extra, t, e) < 0 || put_weights(t, e) < 0 || put_state(t, e) < 0 ||
        put_optimizer(t, e) < 0 || ckpt_put_commit(t->out, t->state.step, t->state.best_step, e) < 0)
        return -1;
    t->saved = t->state.step;
    remote_saved(t);
    debug("checkpoint of step %" PRIu64 " is written", t->state.step);
    return 0;
}
