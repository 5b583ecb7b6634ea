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

/* Forward, loss and backward of some rows, all at once. */
static void part_run(struct tape *t, const struct work *w, const struct batch *b)
{
    struct model *m = w->m;
    struct loss loss = { 0 };
    size_t n;
    struct target *list = targets(t, m, b, &n);
    if (!n)
        return;
    struct tensor *x = model_forward(t, m, b, NULL);
    float *nll = t->tap ? tape_small(t, n * sizeof *nll) : NULL;
    if (t->tap)
        tape_tap(t, "logits", tape_logits(t, x, m->output, m->output_cap));
    tape_lm_loss(t, x, m->output, m->output_cap, t->mode == TAPE_TRAIN ? m->smoothing : 0, list, n, &loss, nll);
    if (nll)
        tape_tap(t, "nll", tape_input(t, nll, n, 1));
    if (t->mode == TAPE_TRAIN)
        tape_backward(t);
    if (w->loss) {
        w->loss->nll += loss.nll;
        w->loss->sum += loss.sum;
        w->loss->tokens += loss.tokens;
    }
}

/* The row behind the last of a part that begins with `from`: as many as fit, one at least. */
static size_t part_end(const struct model *m, const struct batch *b, size_t from)
{
    size_t to = from + 1, start = b->start[from];
    while (to < b->rows && (m->source ? (to + 1 - from) * m->source : b->start[to + 1] - start) <= m->part)
        to++;
    return to;
}

/* Rows from ... to - 1 of b: its memory, but for start. */
static struct batch batch_part(struct tape *t, const struct batch *b, size_t from, size_t to)
{
    struct batch p = *b;
    p.rows = to - from;
    p.start = tape_small(t, (p.rows + 1) * sizeof *p.start);
    for (size_t r = 0; p.start && r <= p.rows; r++)
        p.start[r] = b->start[from + r] - b->start[from];
    p.ids += b->start[from];
    p.labels += b->start[from];
    p.features += p.features ? from * b->bins * b->frames : 0;
    p.heard += from;
    p.key += from;
    return p;
}

/* Gradients are sums over rows, so the rows may pass in parts one after another: then activations take the memory of
 * a part, and gradients, which must outlive the first, that which they would have been lent at the end. */
static void step_run(struct tape *t, void *ctx)
{
    const struct work *w = ctx;
    const struct batch *b = w->b;
    if (w->loss)
        *w->loss = (struct loss){ 0 };
    if (t->tap || !b->rows || part_end(w->m, b, 0) == b->rows) {
        part_run(t, w, b);
        return;
    }
    for (size_t from = 0, to; from < b->rows && !t->failed; from = to) {
        to = part_end(w->m, b, from);
        struct batch p = batch_part(t, b, from, to);
        if (!t->failed)
            part_run(t, w, &p);
        tape_clear(t);
    }
}

int model_step(struct tape *t, struct model *m, const struct batch *b, enum tape_mode mode, uint64_t key,
               struct loss *loss, char why[WHY])
{
    struct work w = { .m = m, .b = b, .loss = loss };
    return tape_run(t, mode, key, step_run, &w, why);
}

/* `rows` rows of `tokens`; with `fill` the last of a part is as long as it has room for, if that is less. */
static void rows_like(struct batch *b, const struct model *m, size_t rows, size_t tokens, bool fill)
{
    size_t left = m->part;
    for (b->rows = 0; b->rows < rows; b->rows++) {
        size_t n = fill && left < tokens ? left : tokens;
        b->start[b->rows + 1] = b->start[b->rows] + n;
        left = n < left ? left - n : m->part;
    }
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
    struct work w = { .m = m, .b = &b };
    rows_like(&b, m, rows, tokens, false);
    int status = tape_reserve(t, mode, step_run, &w, plan, why);
    if (!status && !m->source && tokens <= m->part && rows * tokens > m->part) {
        struct tape_plan full;                  /* parts of ragged rows may be fuller */
        rows_like(&b, m, rows, tokens, true);
        status = tape_reserve(t, mode, step_run, &w, &full, why);
        *plan = !status && full.arena > plan->arena ? full : *plan;
    }
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
