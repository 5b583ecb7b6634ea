/* kernels/nn/loss/loss.c - the output projection and the cross entropy, fused
 *
 * Per supervised position: z = W x, p = softmax(z),
 *   loss = -(1 - e) log p[id] - e mean(log p);   dz = p - (1 - e) onehot(id) - e / V.
 * A chunk of positions at a time has its logits in a bounded buffer, which becomes
 * dz in place; then dx = dz W and dW += dz^T x: nothing is computed twice. */
#include "kernels/nn/loss/loss.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"

#include <math.h>
#include <string.h>

/* logits at once; positions at once: reading W again is a small part of their work */
enum { STRETCH = 4096, CHUNK = 512 };

/* Sum of exp(z - max), in double over short stretches. */
static float exp_total(const struct vec *vec, const float *z, float max, size_t n)
{
    float unused[STRETCH];
    double total = 0;
    for (size_t j = 0; j < n; j += STRETCH)
        total += (double)vec->exp_sum(unused, z + j, 1, max, n - j < STRETCH ? n - j : STRETCH);
    return (float)total;
}

static void loss_task(void *ctx, size_t r, int worker)
{
    (void)worker;
    const struct chunk *c = ctx;
    size_t n = c->vocab, id = (size_t)c->target[r].id;
    float *z = c->z + r * n, e = c->smoothing, max = -INFINITY;
    const struct vec *vec = c->k->vec;
    if (c->cap > 0)
        vec->cap(z, z, c->cap, n);
    max = vec->max(z, n);
    float total = exp_total(vec, z, max, n);
    double lse = (double)max + log((double)total);
    c->nll[r] = lse - (double)z[id];
    c->sum[r] = c->nll[r];
    if (e > 0)
        c->sum[r] = (1 - (double)e) * c->nll[r] + (double)e * (lse - vec->sum(z, n) / (double)n);
    if (!c->gradient)
        return;
    float share = 1.0f / total, even = e / (float)n, cap2 = c->cap > 0 ? 1.0f / (c->cap * c->cap) : 0.0f;
    float own = (1 - e) * (1.0f - z[id] * z[id] * cap2), room[STRETCH];
    for (size_t j = 0; j < n; j += STRETCH) {
        size_t some = n - j < STRETCH ? n - j : STRETCH;
        float *to = c->narrow ? room : z + j;
        vec->softmax_back(to, z + j, max, share, even, cap2, some);
        if (id - j < some)
            to[id - j] -= own;
        if (c->narrow)                          /* half as long: it ends before what is still to be read */
            c->k->pack->from_f32((uint16_t *)(void *)z + j, room, some);
    }
}

/* --- memory ------------------------------------------------------------------------ */
static size_t half_ld(const struct chunk *c) { return (c->vocab + 31) / 32 * 32; }
static size_t half_pieces(const struct chunk *c) { return (c->vocab + PANEL - 1) / PANEL; }

size_t chunk_bytes(const struct chunk *c)
{
    return c->half ? half_ld(c) * sizeof *c->e : c->vocab * sizeof *c->z;
}

size_t chunk_bytes_beside(const struct chunk *c)
{
    return c->half ? (2 * half_pieces(c) + 1) * sizeof(float) : 0;
}

void chunk_place(struct chunk *c, void *memory, void *beside, size_t room)
{
    if (!c->half) {
        c->z = memory;
        return;
    }
    c->ld = half_ld(c);
    c->pieces = half_pieces(c);
    c->e = memory;
    c->max = beside;
    c->mass = c->max + room * c->pieces;
    c->own = c->mass + room * c->pieces;
}

struct gemm_in chunk_gradient(const struct chunk *c)
{
    if (c->half)
        return (struct gemm_in){ .bf16 = c->e, .ld = c->ld };
    return c->narrow ? (struct gemm_in){ .bf16 = (uint16_t *)(void *)c->z, .ld = 2 * c->vocab } : grad_in(c->z, c->vocab);
}

struct gather { uint8_t *to; const uint8_t *from; const struct target *target; size_t n, bytes, each; };

static void gather_task(void *ctx, size_t i, int worker)
{
    (void)worker;
    const struct gather *j = ctx;
    for (size_t r = i * j->each, to = rows_end(j->n, j->each, i); r < to; r++)
        memcpy(j->to + r * j->bytes, j->from + j->target[r].row * j->bytes, j->bytes);
}

struct loss_record {
    struct record r;
    struct tensor *x;
    float *dx;                  /* [n, C] */
    const struct target *target;
    size_t n;
};

/* A position may be asked for more than once: added in order. */
static void loss_backward(struct tape *t, struct record *record)
{
    struct loss_record *r = (struct loss_record *)record;
    size_t cols = r->x->cols;
    float beta, *dx = tensor_grad(t, r->x, &beta);
    if (beta == 0)
        flat_zero(t, dx, tensor_count(r->x));
    for (size_t i = 0; i < r->n && tape_live(t); i++)
        for (size_t c = 0; c < cols; c++)
            dx[r->target[i].row * cols + c] += r->dx[i * cols + c];
    arena_give(t, r->dx, r->n * cols * sizeof(float));
}

/* --- the weight's gradient of a chunk ------------------------------------------------ */
struct chunk_weight {
    struct later later;
    struct param *w;
    struct gemm_in dz, x;
    size_t n;
    void *memory, *xs;          /* theirs */
    size_t memory_bytes, xs_bytes;
};

static void chunk_weight(struct tape *t, struct later *later)
{
    struct chunk_weight *j = (struct chunk_weight *)later;
    if (j->w)
        product_weight(t, j->w, j->dz, j->x, j->n);
    arena_give(t, j->memory, j->memory_bytes);
    arena_give(t, j->xs, j->xs_bytes);
}

static void targets_check(struct tape *t, const struct tensor *x, const struct param *w, const struct target *target,
                          size_t n)
{
    for (size_t i = 0; i < n && tape_live(t); i++)
        if (target[i].row >= x->rows || target[i].id < 0 || (size_t)target[i].id >= w->shape[0])
            tape_fail(t, "label %d at position %zu: the vocabulary has %zu entries", target[i].id, target[i].row,
                      w->shape[0]);
}

struct losses {                 /* of all chunks */
    struct chunk c;
    struct tensor *x;
    struct param *w;
    float *dx;                  /* [n, C] or NULL */
    const struct target *target;
    size_t each;                /* positions of a chunk */
    bool wants_weight, late;
    struct loss *loss;
    float *nll;
};

/* Positions from ... from + m - 1: their losses, their dx, and dW now or later. */
static void chunk_run(struct tape *t, struct losses *l, size_t from, size_t m)
{
    struct chunk *c = &l->c;
    struct tensor *x = l->x;
    size_t cols = x->cols, row = cols * (x->half ? sizeof *x->half : sizeof *x->data), beside = m * chunk_bytes_beside(c);
    struct chunk_weight *j = tape_small(t, sizeof *j);
    if (!j)
        return;
    *j = (struct chunk_weight){ .w = l->wants_weight ? l->w : NULL, .n = m, .memory_bytes = m * chunk_bytes(c),
                                .xs_bytes = m * row };
    j->xs = arena_take(t, j->xs_bytes);
    j->memory = arena_take(t, j->memory_bytes);
    void *other = arena_take(t, beside);
    chunk_place(c, j->memory, other, m);
    j->dz = chunk_gradient(c);
    j->x = (struct gemm_in){ .f32 = x->half ? NULL : j->xs, .bf16 = x->half ? j->xs : NULL, .ld = cols };
    c->n = m;
    c->target = l->target + from;
    struct gather g = { j->xs, x->half ? (uint8_t *)x->half : (uint8_t *)x->data, c->target, m, row, rows_each(cols) };
    if (tape_live(t))
        rows_run(t, m, g.each, gather_task, &g);
    if (c->half)
        product_forward_into(t, j->x, l->w, m, &(struct gemm_out){ .ld = c->vocab, .done = loss_half_block, .ctx = c });
    else
        product_forward(t, (struct values){ .f32 = c->z }, false, j->x, l->w, NULL, m);
    if (tape_live(t))
        rows_run(t, m, 1, c->half ? loss_half_task : loss_task, c);
    for (size_t i = 0; i < m && tape_live(t); i++) {
        if (l->loss) {
            l->loss->nll += c->nll[i];
            l->loss->sum += c->sum[i];
        }
        if (l->nll)
            l->nll[from + i] = (float)c->nll[i];
    }
    arena_give(t, other, beside);
    if (l->dx)
        product_input(t, (struct values){ .f32 = l->dx + from * cols }, 0, j->dz, l->w, m);
    if (l->late)
        tape_later(t, &j->later, chunk_weight);
    else
        chunk_weight(t, &j->later);
}

void tape_lm_loss(struct tape *t, struct tensor *x, struct param *w, float cap, float smoothing,
                  const struct target *target, size_t n, struct loss *loss, float *nll)
{
    size_t cols = x->cols, vocab = w->shape[0];
    bool trains = tape_records(t) && (x->needs_grad || w->trained), back = trains && x->needs_grad;
    targets_check(t, x, w, target, n);
    if (loss && tape_live(t))
        *loss = (struct loss){ .tokens = n };
    if (t->failed || !n)
        return;
    bool bf16 = t->compute->bf16;
    struct losses l = { .x = x, .w = w, .target = target, .wants_weight = trains && w->trained, .loss = loss, .nll = nll };
    l.c = (struct chunk){ .k = t->compute->k, .half = bf16 && !(cap > 0) && !(smoothing > 0), .gradient = trains,
                          .vocab = vocab, .cap = cap, .smoothing = smoothing, .narrow = bf16 };
    size_t bytes = chunk_bytes(&l.c) + chunk_bytes_beside(&l.c), each = t->loss_bytes / bytes;
    each = each < CHUNK ? each : CHUNK;
    each = each < 1 ? 1 : each;
    l.each = each = (n + (n + each - 1) / each - 1) / ((n + each - 1) / each);  /* all about the same */
    l.dx = back ? arena_take(t, n * cols * sizeof(float)) : NULL;
    l.c.nll = tape_small(t, 2 * each * sizeof *l.c.nll);
    l.c.sum = l.c.nll + each;
    l.late = t->late && l.wants_weight && n * chunk_bytes(&l.c) < w->count * sizeof *w->grad;
    t->plan.loss = each * bytes;
    for (size_t from = 0; from < n && !t->failed; from += each)
        chunk_run(t, &l, from, n - from < each ? n - from : each);
    struct loss_record *r = tape_record(t, sizeof *r, loss_backward, NULL, back);
    if (r) {
        r->r.always = true;
        r->x = x;
        r->dx = l.dx;
        r->target = target;
        r->n = n;
    }
}

struct tensor *tape_logits(struct tape *t, struct tensor *x, struct param *w, float cap)
{
    struct tensor *y = tensor_make(t, x->rows, w->shape[0]);
    product_forward(t, tensor_values(y), false, tensor_in(x), w, NULL, x->rows);
    if (cap > 0 && tape_live(t))
        t->compute->k->vec->cap(y->data, y->data, cap, tensor_count(y));
    return y;
}
