/* kernels/models/model.c - a step, its plan, a decoding step: the same forward for all */
#include "kernels/models/arch.h"

#include <string.h>

struct tensor *model_forward(struct tape *t, struct model *m, const struct batch *b, struct cache *c)
{
    return m->arch->forward(t, m, b, c);
}

struct work {
    struct model *m;
    const struct batch *b;
    struct cache *c;
    struct loss *loss;
    float *logits;
};

/* Which position shall predict which id. */
static struct target *targets(struct tape *t, const struct model *m, const struct batch *b, size_t *n)
{
    struct target *list = tape_small(t, (b->start[b->rows] + 1) * sizeof *list);
    *n = 0;
    for (size_t r = 0; list && r < b->rows; r++)
        for (size_t i = b->start[r] + m->shift; i < b->start[r + 1]; i++)
            if (b->labels[i] != -100)
                list[(*n)++] = (struct target){ i - m->shift, b->labels[i] };
    return list;
}

static void step_run(struct tape *t, void *ctx)
{
    const struct work *w = ctx;
    struct model *m = w->m;
    size_t n;
    struct target *list = targets(t, m, w->b, &n);
    if (!n) {
        if (w->loss)
            *w->loss = (struct loss){ 0 };
        return;
    }
    struct tensor *x = model_forward(t, m, w->b, NULL);
    float *nll = t->tap ? tape_small(t, n * sizeof *nll) : NULL;
    if (t->tap)
        tape_tap(t, "logits", tape_logits(t, x, m->output, m->output_cap));
    tape_lm_loss(t, x, m->output, m->output_cap, t->mode == TAPE_TRAIN ? m->smoothing : 0, list, n, w->loss, nll);
    if (nll)
        tape_tap(t, "nll", tape_input(t, nll, n, 1));
    if (t->mode == TAPE_TRAIN)
        tape_backward(t);
}

int model_step(struct tape *t, struct model *m, const struct batch *b, enum tape_mode mode, uint64_t key,
               struct loss *loss, char why[WHY])
{
    struct work w = { .m = m, .b = b, .loss = loss };
    return tape_run(t, mode, key, step_run, &w, why);
}

int model_plan(struct tape *t, struct model *m, size_t rows, size_t tokens, enum tape_mode mode,
               struct tape_plan *plan, char why[WHY])
{
    struct batch b;
    if (batch_reserve(&b, rows, rows * tokens, 0, 0, why))
        return -1;
    b.bins = m->bins;
    b.frames = m->frames;
    memset(b.ids, 0, rows * tokens * sizeof *b.ids);
    memset(b.labels, 0, rows * tokens * sizeof *b.labels);
    for (b.rows = 0; b.rows < rows; b.rows++)
        b.start[b.rows + 1] = (b.rows + 1) * tokens;
    struct work w = { .m = m, .b = &b };
    int status = tape_reserve(t, mode, step_run, &w, plan, why);
    batch_release(&b);
    return status;
}

static void decode_run(struct tape *t, void *ctx)
{
    const struct work *w = ctx;
    const struct batch *b = w->b;
    size_t *last = tape_small(t, (b->rows + 1) * sizeof *last), *row = tape_small(t, (b->rows + 1) * sizeof *row), n = 0;
    for (size_t r = 0; last && row && r < b->rows; r++)
        if (b->start[r + 1] > b->start[r]) {
            last[n] = b->start[r + 1] - 1;
            row[n++] = r;
        }
    struct tensor *x = model_forward(t, w->m, b, w->c);
    struct tensor *y = tape_logits(t, tape_rows(t, x, last, n), w->m->output, w->m->output_cap);
    for (size_t i = 0; i < n && !t->dry && !t->failed; i++)
        memcpy(w->logits + row[i] * w->m->vocab, y->data + i * w->m->vocab, w->m->vocab * sizeof(float));
}

int model_decode(struct tape *t, struct model *m, const struct batch *b, struct cache *c, float *logits, char why[WHY])
{
    struct work w = { .m = m, .b = b, .c = c, .logits = logits };
    if (tape_run(t, TAPE_INFER, 0, decode_run, &w, why))
        return -1;
    for (size_t r = 0; r < b->rows; r++)
        c->length[r] += b->start[r + 1] - b->start[r];
    c->encoded = true;
    return 0;
}
