/* kernels/nn/norm.c - layer norm and rms norm
 *
 * Layer norm, per row of C:  h = (x - m) s with s = 1 / sqrt(var + eps), y = h w + b.
 *   g = dy w;  dx = s (g - mean(g) - h mean(g h));  dw = sum dy h;  db = sum dy.
 * RMS norm, per group:  h = x s with s = 1 / sqrt(mean(x^2) + eps), y = h (offset + w).
 *   g = dy (offset + w);  dx = s (g - h mean(g h));  dw = sum dy h.
 * One code for both: rms norm is the one with m = 0 and no mean of g. */
#include "kernels/linalg/vec.h"
#include "kernels/nn/record.h"

struct norm {
    const struct kernels *k;
    const struct team *team;
    struct norm_row row;
    struct values x, y;
    const float *dy;
    float *dx, beta;
    float *mean, *scale;        /* a number a group */
    float *dw, beta_w;
    size_t n, group, each;      /* groups, their width, groups a task */
};

static void forward_task(void *ctx, size_t task, int worker)
{
    const struct norm *j = ctx;
    size_t n = j->group;
    float *room = team_scratch(j->team, worker);
    for (size_t r = task * j->each, to = rows_end(j->n, j->each, task); r < to; r++) {
        const float *x = values_read(j->k, j->x, r * n, n, room);
        float *y = values_open(j->y, r * n, room + n);
        j->k->vec->norm(y, x, &j->row, j->mean ? j->mean + r : NULL, j->scale ? j->scale + r : NULL, n);
        values_close(j->k, j->y, r * n, n, y);
    }
}

static void backward_task(void *ctx, size_t task, int worker)
{
    const struct norm *j = ctx;
    size_t n = j->group;
    float *room = team_scratch(j->team, worker);
    for (size_t r = task * j->each, to = rows_end(j->n, j->each, task); r < to; r++)
        j->k->vec->norm_back(j->dx + r * n, j->beta != 0, values_read(j->k, j->x, r * n, n, room), j->dy + r * n, &j->row,
                             j->row.centre ? j->mean[r] : 0.0f, j->scale[r], n);
}

/* dw for a block of columns, all rows: short sums in float32, those in double. */
enum { COLUMNS = 64, FLUSH = 32 };

static void weight_task(void *ctx, size_t task, int worker)
{
    (void)worker;
    const struct norm *j = ctx;
    size_t from = task * COLUMNS, k = rows_end(j->group, COLUMNS, task) - from;
    double sum[COLUMNS] = { 0 };
    for (size_t r = 0; r < j->n; r += FLUSH) {
        float part[COLUMNS] = { 0 };
        for (size_t i = r; i < r + FLUSH && i < j->n; i++) {
            float room[COLUMNS];
            const float *x = values_read(j->k, j->x, i * j->group + from, k, room), *dy = j->dy + i * j->group + from;
            float m = j->row.centre ? j->mean[i] : 0.0f, s = j->scale[i];
            for (size_t c = 0; c < k; c++)
                part[c] += dy[c] * (x[c] - m) * s;
        }
        for (size_t c = 0; c < k; c++)
            sum[c] += (double)part[c];
    }
    for (size_t c = 0; c < k; c++)
        j->dw[from + c] = (j->beta_w == 0 ? 0.0f : j->dw[from + c]) + (float)sum[c];
}

struct norm_record {
    struct record r;
    struct tensor *x;
    struct param *w, *b;
    struct norm j;
};

static void stats_give(struct tape *t, struct norm *j)
{
    arena_give(t, j->mean, j->n * sizeof(float));
    arena_give(t, j->scale, j->n * sizeof(float));
}

static void norm_again(struct tape *t, struct record *record)
{
    struct norm_record *r = (struct norm_record *)record;
    tensor_again(t, r->x);
    r->j.x = tensor_values(r->x);
    r->j.y = tensor_values(r->r.out[0]);
    if (tape_live(t))
        rows_run(t, r->j.n, r->j.each, forward_task, &r->j);
}

static void norm_backward(struct tape *t, struct record *record)
{
    struct norm_record *r = (struct norm_record *)record;
    struct norm *j = &r->j;
    struct tensor *y = r->r.out[0];
    tensor_again(t, r->x);
    j->x = tensor_values(r->x);
    j->dy = y->grad;
    if (r->x->needs_grad) {
        j->dx = tensor_grad(t, r->x, &j->beta);
        if (tape_live(t))
            rows_run(t, j->n, j->each, backward_task, j);
    }
    if (r->w && r->w->trained) {
        j->dw = param_grad(t, r->w, &j->beta_w);
        if (tape_live(t))
            rows_run(t, j->group, COLUMNS, weight_task, j);
    }
    if (r->b && r->b->trained) {
        float beta, *db = param_grad(t, r->b, &beta);
        column_sums(t, db, beta, y->grad, j->n, j->group);
    }
    stats_give(t, j);
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
    if (tape_live(t))
        rows_run(t, j.n, j.each, forward_task, &j);
    struct norm_record *r = tape_record(t, sizeof *r, norm_backward, y, needs);
    if (r) {
        r->x = x;
        r->w = w;
        r->b = b;
        r->j = j;
        x->kept = true;
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
