/* cmd/shared/model/weights.c - see weights.h */
#include "cmd/shared/model/weights.h"

#include <stdlib.h>

static bool in_place(const struct param *p, const struct st_tensor *t)
{
    return !p->trained && t->dtype == ST_F32 && (uintptr_t)t->data.data % sizeof(float) == 0;
}

int weights_from_dir(struct params *ps, const struct modeldir *dir, const struct wanted *w, bool training, struct error *e)
{
    if (modeldir_match(dir, w->want, w->n, e) < 0)
        return -1;
    for (size_t k = 0; k < w->n; k++) {         /* read only: what is not trained is never written */
        const struct st_tensor *t = w->want[k].found;
        if (w->p[k])
            w->p[k]->data = t && in_place(w->p[k], t) ? (float *)(uintptr_t)t->data.data : NULL;
    }
    char why[WHY];
    if (params_reserve(ps, training, why) < 0)
        return error_set(e, STATUS_AGAIN, "no memory for the model's parameters: %s", why);
    for (size_t k = 0; k < w->n; k++) {
        const struct st_tensor *t = w->want[k].found;
        if (!w->p[k])
            continue;
        if (!t)
            param_init(w->p[k], 0);
        else if (!in_place(w->p[k], t) && st_to_f32(t, w->p[k]->data, e) < 0)
            return error_prefix(e, "model '%s'", dir->path);
    }
    return 0;
}

int wanted_begin(struct wanted *w, size_t room, struct error *e)
{
    *w = (struct wanted){ calloc(room + 1, sizeof *w->want), calloc(room + 1, sizeof(struct param *)), 0 };
    return w->want && w->p ? 0 : error_memory(e);
}

void wanted_add(struct wanted *w, struct param *p, const char *name)
{
    w->want[w->n] = (struct tensor_want){ .name = name, .rank = p->rank, .shape = p->shape, .optional = p->buffer };
    w->p[w->n++] = p;
}

void wanted_release(struct wanted *w)
{
    free(w->want);
    free(w->p);
}

int params_from_dir(struct params *ps, const struct modeldir *dir, bool training, struct error *e)
{
    struct wanted w;
    int rc = wanted_begin(&w, ps->n, e);
    for (size_t i = 0; rc == 0 && i < ps->n; i++)
        if (ps->p[i]->kind != PARAM_ADAPTER)
            wanted_add(&w, ps->p[i], ps->p[i]->name);
    if (rc == 0)
        rc = weights_from_dir(ps, dir, &w, training, e);
    wanted_release(&w);
    return rc;
}
