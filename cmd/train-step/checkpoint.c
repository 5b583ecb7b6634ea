/* cmd/train-step/checkpoint.c - writing a checkpoint: a directory's files onto the checkpoint stream */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/train-step/adapter.h"
#include "cmd/train-step/trainer.h"
#include "libcommon/sys/log.h"

enum { PIECE = 1 << 18 };       /* values converted at once */

/* A safetensors file that is being put together: what lies where in memory. */
struct tensors {
    struct st_tensor *t;        /* data: float32 values, or the bytes as they are where dtype is I64 */
    size_t n, room;
};

static int tensors_add(struct tensors *l, const struct param *p, const char *suffix, enum st_dtype dtype, const void *data, struct error *e)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        struct st_tensor *more = realloc(l->t, room * sizeof *more);
        if (!more)
            return error_set(e, STATUS_AGAIN, "out of memory for a checkpoint");
        l->t = more;
        l->room = room;
    }
    struct st_tensor *t = &l->t[l->n];
    *t = (struct st_tensor){ .name = tensor_name(p->name, suffix), .dtype = dtype, .data = span_of(data, sizeof(int64_t)) };
    if (!t->name)
        return error_set(e, STATUS_AGAIN, "out of memory for a checkpoint");
    l->n++;
    if (dtype == ST_I64)        /* a scalar */
        return 0;
    t->rank = p->rank;
    for (int i = 0; i < p->rank; i++)
        t->shape[i] = p->shape[i];
    t->data.size = p->count * sizeof(float);
    return 0;
}

static void tensors_release(struct tensors *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->t[i].name);
    free(l->t);
}

static int put_values(struct ckpt_out *out, const struct st_tensor *t, uint8_t *scratch, struct error *e)
{
    if (t->dtype == ST_F32 || t->dtype == ST_I64)
        return ckpt_put_bytes(out, t->data.data, t->data.size, e);
    const float *from = (const float *)(const void *)t->data.data;
    for (size_t left = st_count(t); left; ) {
        size_t n = left < PIECE ? left : PIECE;
        st_from_f32(from, n, t->dtype, scratch);
        if (ckpt_put_bytes(out, scratch, n * st_item_size(t->dtype), e) < 0)
            return -1;
        from += n;
        left -= n;
    }
    return 0;
}

static int tensors_put(struct trainer *t, const char *file, const struct tensors *l, struct error *e)
{
    struct buf header;
    buf_init(&header, 1 << 28);
    uint8_t *scratch = malloc(PIECE * 2);
    uint64_t size = 0;
    int rc = scratch ? safetensors_header(l->t, l->n, &header, e) : error_set(e, STATUS_AGAIN, "out of memory for a checkpoint");
    for (size_t i = 0; i < l->n; i++)
        size += st_count(&l->t[i]) * st_item_size(l->t[i].dtype);
    if (rc == 0)
        rc = ckpt_put_file(t->out, t->state.step, file, header.size + size, e);
    if (rc == 0)
        rc = ckpt_put_bytes(t->out, header.data, header.size, e);
    for (size_t i = 0; rc == 0 && i < l->n; i++)
        rc = put_values(t->out, &l->t[i], scratch, e);
    free(scratch);
    buf_release(&header);
    return rc;
}

static enum st_dtype save_dtype(const struct options *o)
{
    return !strcmp(o->save_dtype, "bfloat16") ? ST_BF16 : !strcmp(o->save_dtype, "float16") ? ST_F16 : ST_F32;
}

static int put_weights(struct trainer *t, struct error *e)
{
    struct tensors l = { 0 };
    const struct params *ps = &t->model->params;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ps->n; i++)
        if ((ps->p[i]->kind == PARAM_ADAPTER) == t->o->lora)
            rc = tensors_add(&l, ps->p[i], "", save_dtype(t->o), ps->p[i]->data, e);
    if (rc == 0)
        rc = tensors_put(t, t->o->lora ? "adapter_model.safetensors" : "model.safetensors", &l, e);
    tensors_release(&l);
    return rc;
}

/* Moments and step counts; the weights too where the model's file rounds them. */
static int put_optimizer(struct trainer *t, struct error *e)
{
    struct tensors l = { 0 };
    const struct params *ps = &t->model->params;
    int64_t *steps = calloc(ps->n + 1, sizeof *steps);
    bool masters = save_dtype(t->o) != ST_F32;
    int rc = steps ? 0 : error_set(e, STATUS_AGAIN, "out of memory for a checkpoint");
    for (size_t i = 0; rc == 0 && i < ps->n; i++) {
        steps[i] = (int64_t)ps->p[i]->steps;
        if (ps->p[i]->trained)
            rc = tensors_add(&l, ps->p[i], ".step", ST_I64, &steps[i], e);
    }
    for (size_t i = 0; rc == 0 && i < ps->n; i++) {
        const struct param *p = ps->p[i];
        if (!p->trained)
            continue;
        rc = masters ? tensors_add(&l, p, ".master", ST_F32, p->data, e) : 0;
        if (rc == 0)
            rc = tensors_add(&l, p, ".exp_avg", ST_F32, p->m, e);
        if (rc == 0)
            rc = tensors_add(&l, p, ".exp_avg_sq", ST_F32, p->v, e);
    }
    if (rc == 0)
        rc = tensors_put(t, "optimizer.safetensors", &l, e);
    tensors_release(&l);
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

/* config.json as it was, but for the type of the weights: from_pretrained would narrow them to what it says. */
static int put_config(struct trainer *t, struct error *e)
{
    json_t *j = json_copy(t->dir.json);
    const char *key = json_object_get(j, "torch_dtype") ? "torch_dtype" : "dtype";
    const char *now = json_string_value(json_object_get(j, key));
    if (now ? !strcmp(now, t->o->save_dtype) : !strcmp(t->o->save_dtype, "float32")) {
        json_decref(j);
        return ckpt_put_whole(t->out, t->state.step, "config.json", t->dir.config.data, t->dir.config.size, e);
    }
    json_object_set_new(j, key, json_string(t->o->save_dtype));
    return put_json(t, "config.json", j, e);
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
    if (t->evaluated == t->state.step && t->eval_loss < t->state.best_loss) {
        t->state.best_loss = t->eval_loss;
        t->state.best_step = t->state.step;
    }
    if ((t->o->lora ? put_json(t, "adapter_config.json", adapter_config(t), e) : put_config(t, e)) < 0 ||
        modeldir_each_extra(&t->dir, put_extra, t, e) < 0 || put_weights(t, e) < 0 || put_state(t, e) < 0 ||
        put_optimizer(t, e) < 0 || ckpt_put_commit(t->out, t->state.step, t->state.best_step, e) < 0)
        return -1;
    t->saved = t->state.step;
    debug("checkpoint of step %" PRIu64 " is written", t->state.step);
    return 0;
}
