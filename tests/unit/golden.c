/* tests/unit/golden.c - see golden.h */
#include "tests/unit/golden.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/json.h"

static _Noreturn void bail(const char *what, const char *why)
{
    printf("Bail out! %s: %s\n", what, why);
    exit(1);
}

void golden_open(struct safetensors *st, const char *path)
{
    struct error e;
    if (safetensors_open(path, st, &e))
        bail(path, e.text);
}

bool golden_has(const struct safetensors *st, const char *name) { return safetensors_find(st, name) != NULL; }

float *golden_f32(const struct safetensors *st, const char *name, size_t *count)
{
    struct error e = { .text = "missing" };
    const struct st_tensor *t = safetensors_find(st, name);
    float *f = t ? malloc(st_count(t) * sizeof *f + 1) : NULL;
    if (!f || st_to_f32(t, f, &e))
        bail(name, e.text);
    if (count)
        *count = st_count(t);
    return f;
}

struct golden_gap golden_gap(const struct model *m, const struct safetensors *st)
{
    struct golden_gap gap = { 0 };
    for (size_t i = 0; i < m->params.n; i++) {
        const struct param *p = m->params.p[i];
        if (!golden_has(st, p->name))
            continue;
        float *want = golden_f32(st, p->name, NULL);
        double sum = 0;
        for (size_t k = 0; k < p->count; k++) {
            double d = (double)p->data[k] - (double)want[k];
            sum += d * d;
            gap.off += !(fabs(d) <= 1e-5);
        }
        gap.rms = worse(gap.rms, sqrt(sum / (double)p->count));
        gap.all += p->count;
        gap.tensors++;
        free(want);
    }
    return gap;
}

int64_t *golden_ints(const struct safetensors *st, const char *name, size_t *count)
{
    const struct st_tensor *t = safetensors_find(st, name);
    size_t n = t ? st_count(t) : 0;
    int64_t *v = malloc(n * sizeof *v + 1);
    if (!t || !v || (t->dtype != ST_I64 && t->dtype != ST_I32))
        bail(name, "missing, or no integers");
    for (size_t i = 0; i < n; i++) {
        int32_t x = 0;
        if (t->dtype == ST_I64) {
            memcpy(v + i, t->data.data + i * 8, 8);
        } else {
            memcpy(&x, t->data.data + i * 4, 4);
            v[i] = x;
        }
    }
    if (count)
        *count = n;
    return v;
}

json_t *golden_json(const char *path)
{
    struct error e;
    json_t *j = json_read_file(path, &e);
    if (!j)
        bail(path, e.text);
    return j;
}

void golden_weights(struct model *m, const char *path)
{
    struct safetensors st;
    struct error e = { .text = "wrong count" };
    golden_open(&st, path);
    for (size_t i = 0; i < m->params.n; i++) {
        struct param *p = m->params.p[i];
        const struct st_tensor *t = safetensors_find(&st, p->name);
        if (t && (st_count(t) != p->count || st_to_f32(t, p->data, &e)))
            bail(p->name, e.text);
    }
    safetensors_close(&st);
}

static struct model *model_open(const char *dir, bool lent)
{
    char path[400], why[WHY];
    snprintf(path, sizeof path, "%s/config.json", dir);
    json_t *c = golden_json(path);
    char *text = json_dumps(c, 0);
    struct model *m = model_new(text, strlen(text), why);
    if (!m)
        bail(path, why);
    free(text);
    json_decref(c);
    m->params.lent = lent;
    if (params_reserve(&m->params, true, why))
        bail(path, why);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    golden_weights(m, path);
    return m;
}

struct model *golden_model(const char *dir) { return model_open(dir, false); }
struct model *golden_model_lent(const char *dir) { return model_open(dir, true); }

size_t golden_differ(const struct model *a, const struct model *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->params.n; i++)
        n += memcmp(a->params.p[i]->data, b->params.p[i]->data, a->params.p[i]->count * sizeof(float)) != 0;
    return n;
}

void golden_compute(struct compute *k, int threads)
{
    *k = (struct compute){ .team = team_new(threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")) };
    if (!k->team || !k->k)
        bail("compute", "no team or no kernels");
}
