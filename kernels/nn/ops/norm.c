/* kernels/nn/ops/norm.c - layer norm and rms norm
 *
 * Layer norm, per row of C:  h = (x - m) s with s = 1 / sqrt(var + eps), y = h w + b.
 *   g = dy w;  dx = s (g - mean(g) - h mean(g h));  dw = sum dy h;  db = sum dy.
 * RMS norm, per group:  h = x s with s = 1 / sqrt(mean(x^2) + eps), y = h (offset + w).
 *   g = dy (offset + w);  dx = s (g - h mean(g h));  dw = sum dy h.
 * One code for both: rms norm is the one with m = 0 and no mean of g.
 * In bfloat16 training h is kept, rounded, rather than a float32 x: half the memory, and x may go. */
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"
#include "kernels/nn/tape/record.h"

#include <string.h>

enum { MOST = 64 };             /* rows of a sum in float32: parts of dw and db, then added in double */

struct norm {
    const struct kernels *k;
    const struct team *team;
    struct norm_row row;
    struct values x, y, dy;
    float *dx, beta;
    uint16_t *dx_half;          /* once more, rounded; or NULL */
    float *mean, *scale;        /* a number a group */
    uint16_t *normed;           /* h, rounded, in bfloat16 training in place of a float32 x: or NULL */
    float *parts;               /* of dw and db: [tasks, 2, group], those that are wanted */
    bool wants_w, wants_b;
    size_t n, group, each;      /* groups, their width, groups a task */
};

/* y of h, which is in the first cache. */
static void affine(const struct norm *j, size_t r, const float *h, float *room)
{
    float *y = values_open(j->y, r * j->group, room);
    j->k->vec->norm_affine(y, h, &j->row, j->group);
    values_close(j->k, j->y, r * j->group, j->group, y);
}

static void forward_task(void *ctx, size_t task, int worker)
{
    const struct norm *j = ctx;
    size_t n = j->group;
    float *room = team_scratch(j->team, worker);
    struct norm_row bare = { .eps = j->row.eps, .centre = j->row.centre };
    for (size_t r = task * j->each, to = rows_end(j->n, j->each, task); r < to; r++) {
        const float *x = values_read(j->k, j->x, r * n, n, room);
        float *mean = j->mean ? j->mean + r : NULL, *scale = j->scale ? j->scale + r : NULL;
        if (j->normed) {
            j->k->vec->norm(room, x, &bare, mean, scale, n);
            j->k->pack->from_f32(j->normed + r * n, room, n);
            affine(j, r, room, room + n);
            continue;
        }
        float *y = values_open(j->y, r * n, room + n);
        j->k->vec->norm(y, x, &j->row, mean, scale, n);
        values_close(j->k, j->y, r * n, n, y);
    }
}

/* y anew, of the rounded h. */
static void again_task(void *ctx, size_t task, int worker)
{
    const struct norm *j = ctx;
    size_t n = j->group;
    float *room = team_scratch(j->team, worker);
    for (size_t r = task * j->each, to = rows_end(j->n, j->each, task); r < to; r++)
        affine(j, r, values_read(j->k, (struct values){ .bf16 = j->normed }, r * n, n, room), room + n);
}

static void backward_task(void *ctx, size_t task, int worker)
{
    const struct norm *j = ctx;
    size_t n = j->group;
    float *room = team_scratch(j->team, worker), *dw = j->parts + task * 2 * n, *db = dw + n;
    struct values x = j->normed ? (struct values){ .bf16 = j->normed } : j->x;
    if (j->wants_w || j->wants_b)
        memset(dw, 0, 2 * n * sizeof *dw);
    for (size_t r = task * j->each, to = rows_end(j->n, j->each, task); r < to; r++) {
        const float *from = values_read(j->k, x, r * n, n, room), *dy = values_read(j->k, j->dy, r * n, n, room + n);
        float mean = j->row.centre && !j->normed ? j->mean[r] : 0.0f, scale = j->normed ? 1.0f : j->scale[r];
        if (j->dx)
            j->k->vec->norm_back(j->dx + r * n, j->beta != 0, from, dy, &j->row, mean, scale, j->scale[r], n);
        if (j->dx_half)
            j->k->pack->from_f32(j->dx_half + r * n, j->dx + r * n, n);
        if (j->wants_w)
            j->k->vec->norm_weight(dw, from, dy, mean, scale, n);
        if (j->wants_b)
            j->k->vec->add(db, db, dy, n);
    }
}

struct norm_record {
    struct record r;
    struct tensor *x;
    struct param *w, *b;
    struct norm j;
};

static void norm_again(struct tape *t, struct record *record)
{
    struct norm_record *r = (struct norm_record *)record;
    r->j.y = tensor_values(r->r.out[0]);
    if (!r->j.normed) {
        tensor_again(t, r->x);
        r->j.x = tensor_values(r->x);
    }
    if (tape_live(t))
        rows_run(t, r->j.n, r->j.each, r->j.normed ? again_task : forward_task, &r->j);
}

static void norm_backward(struct tape *t, struct record *record)
{
    struct norm_record *r = (struct norm_record *)record;
    struct norm *j = &r->j;
    if (!j->normed)
        tensor_again(t, r->x);
    j->x = tensor_values(r->x);
    j->dy = tensor_grads(r->r.out[0]);
    j->dx = r->x->needs_grad ? tensor_grad(t, r->x, &j->beta) : NULL;
    j->dx_half = j->dx ? tensor_grad_rounded(t, r->x) : NULL;
    j->wants_w = r->w && r->w->trained;
    j->wants_b = r->b && r->b->trained;
    j->each = j->each < MOST ? j->each : MOST;
    size_t tasks = (j->n + j->each - 1) / j->each, bytes = tasks * 2 * j->group * sizeof(float);
    j->parts = arena_take(t, bytes);
    if (tape_live(t))
        rows_run(t, j->n, j->each, backward_task, j);
    float beta;
    if (j->wants_w) {
        float *dw = param_grad(t, r->w, &beta);
        parts_sum(t, dw, beta, j->parts, tasks, 2 * j->group, j->group);
    }
    if (j->wants_b) {
        float *db = param_grad(t, r->b, &beta);
        parts_sum(t, db, beta, j->parts + j->group, tasks, 2 * j->group, j->group);
    }
    arena_give(t, j->parts, bytes);
    arena_give(t, j->mean, j->n * sizeof(float));
    arena_give(t, j->scale, j->n * sizeof(float));
    arena_give(t, j->normed, tensor_count(r->x) * sizeof *j->normed);
}

static struct tensor *norm(struct tape *t, struct tensor *x, struct param *w, struct param *b, struct norm j)
{
    if (!t->failed && (x->cols % j.group || (w && w->count != j.group)))
        tape_fail(t, "a norm of %zu features over %zu", w ? w->count : j.group, x->cols);
    struct tensor *y = tensor_make_narrow(t, x->rows, x->cols);
    j.n = tensor_count(x) / j.group;
    j.each = rows_each(j.group);
    j.x = tensor_values(x);
    j.y = tensor_values(y);
    j.k = t->compute->k;
    j.team = t->compute->team;
    j.row.w = w ? w->data : NULL;
    j.row.b = b ? b->data : NULL;
    bool needs = x->needs_grad || (w && w->trained) || (b && b->trained);
    bool keeps = needs && tape_records(t);
    j.mean = keeps && j.row.centre ? arena_take(t, j.n * sizeof(float)) : NULL;
    j.scale = keeps ? arena_take(t, j.n * sizeof(float)) : NULL;
    j.normed = keeps && t->narrow && x->data ? arena_take(t, tensor_count(x) * sizeof *j.normed) : NULL;
    if (tape_live(t))
        rows_run(t, j.n, j.each, forward_task, &j);
    struct norm_record *r = tape_record(t, sizeof *r, norm_backward, y, needs);
    if (r) {
        r->r.reads_half = true;
        r->x = x;
        r->w = w;
        r->b = b;
        r->j = j;
        x->kept |= !j.normed;
        tensor_use(x);
        tape_again(t, r, norm_again);
    }
    return y;
}

struct tensor *tape_layer_norm(struct tape *t, struct tensor *x, struct param *w, struct param *b, float eps)
{
    return norm(t, x, w, b, (struct norm){ .group = x->cols ? x->cols : 1, .row = { .eps = eps, .centre = true } });
}

struct tensor *tape_rms_norm(struct tape *t, struct tensor *x, struct param *w, size_t group, float eps, float offset)
{
    if (!group)
        group = x->cols ? x->cols : 1;
    return norm(t, x, w, NULL, (struct norm){ .group = group, .row = { .eps = eps, .offset = offset } });
}
