/* kernels/nn/optim/optim.c - see optim.h */
#include "kernels/nn/optim/optim.h"
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/vec/vec.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 65536, GROUP = 64 };     /* numbers a task takes, about; rows that packed_set_rows takes */

struct turn { struct param *p; size_t first; };         /* its chunks: first ... the next turn's first - 1 */

/* A step: the parameters that have a gradient, in the order in which they are changed. */
struct optim {
    struct compute k;
    struct adamw a;
    float factor;               /* of the gradient: 1 / tokens and clipping */
    size_t n;                   /* turns; turn[n].first is the number of chunks */
    size_t now;                 /* the first turns are done before adamw_begin returns */
    size_t room;                /* parameters that there is room for */
    double *partial;            /* [chunks] sums of squares */
    struct turn turn[];         /* [room + 1], and behind them the sums */
};

/* Of a matrix whole groups of rows, so that a task can pack what it has just changed. */
static size_t chunk_size(const struct param *p)
{
    if (p->rank != 2)
        return CHUNK;
    size_t group = GROUP * p->shape[1];
    return group < CHUNK ? CHUNK / group * group : group;
}

static size_t chunks_of(const struct param *p) { return (p->count + chunk_size(p) - 1) / chunk_size(p); }

/* Room for a step of all parameters, whichever are trained. */
static struct optim *optim_of(struct params *ps)
{
    if (ps->optim && ps->optim->room == ps->n)
        return ps->optim;
    size_t chunks = 0, head = sizeof(struct optim) + (ps->n + 1) * sizeof(struct turn);
    for (size_t i = 0; i < ps->n; i++)
        chunks += chunks_of(ps->p[i]);
    free(ps->optim);
    ps->optim = malloc(head + chunks * sizeof(double));
    if (ps->optim) {
        ps->optim->room = ps->n;
        ps->optim->partial = (double *)(void *)((uint8_t *)ps->optim + head);
    }
    return ps->optim;
}

/* 0: what the next forward may read anywhere; 1: matrices; 2: tables of entries, of which its beginning
 * reads a few rows, and perhaps its end all. */
static int turn_of(const struct param *p) { return p->rank != 2 ? 0 : p->kind != PARAM_EMBEDDING ? 1 : 2; }

static void turns_list(struct optim *o, const struct params *ps)
{
    size_t chunks = 0;
    o->n = 0;
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < ps->n; i++) {
            struct param *p = ps->p[i];
            if (turn_of(p) != turn || !p->trained || !p->grad || !p->has_grad)
                continue;
            o->turn[o->n++] = (struct turn){ p, chunks };
            chunks += chunks_of(p);
        }
        o->now = turn == 0 ? o->n : o->now;
    }
    o->turn[o->n].first = chunks;
}

/* The parameter of a chunk, and which numbers of it. */
static struct param *chunk_find(const struct optim *o, size_t chunk, size_t *from, size_t *to)
{
    size_t low = 0, high = o->n;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (o->turn[mid].first <= chunk)
            low = mid;
        else
            high = mid;
    }
    struct param *p = o->turn[low].p;
    size_t size = chunk_size(p);
    *from = (chunk - o->turn[low].first) * size;
    *to = *from + size < p->count ? *from + size : p->count;
    return p;
}

/* --- the norm -------------------------------------------------------------------- */
static void norm_task(void *ctx, size_t chunk, int worker)
{
    (void)worker;
    struct optim *o = ctx;
    size_t from, to;
    const struct param *p = chunk_find(o, chunk, &from, &to);
    if (p->squared)
        o->partial[chunk] = from ? 0 : p->squares;
    else
        o->partial[chunk] = o->k.k->vec->squares(p->grad + from, to - from);
}

/* Of the parameters listed. */
static double norm_of(struct optim *o, double tokens)
{
    size_t chunks = o->turn[o->n].first;
    team_run(o->k.team, chunks, norm_task, o);
    double sum = 0;
    for (size_t i = 0; i < chunks; i++)
        sum += o->partial[i];
    return sqrt(sum) / tokens;
}

static struct optim *step_list(const struct compute *k, struct params *ps)
{
    adamw_end(k, ps);
    struct optim *o = optim_of(ps);
    if (o) {
        o->k = *k;
        turns_list(o, ps);
    }
    return o;
}

double grad_norm(const struct compute *k, struct params *ps, double tokens)
{
    struct optim *o = step_list(k, ps);
    return o ? norm_of(o, tokens) : NAN;
}

/* --- the step ---------------------------------------------------------------------- */
static void step_task(void *ctx, size_t chunk, int worker)
{
    (void)worker;
    const struct optim *o = ctx;
    const struct adamw *a = &o->a;
    size_t from, to;
    struct param *p = chunk_find(o, chunk, &from, &to);
    double t = (double)p->steps;                /* this step counted */
    float rate = (float)(a->learning_rate / (1 - pow(a->beta1, t))), root = (float)sqrt(1 - pow(a->beta2, t));
    float keep = p->decay ? (float)(1 - a->learning_rate * a->weight_decay) : 1.0f;
    struct adamw_row row = { .factor = o->factor, .keep = keep, .beta1 = (float)a->beta1, .beta2 = (float)a->beta2,
                             .share1 = (float)(1 - a->beta1), .share2 = (float)(1 - a->beta2), .rate = rate, .root = root,
                             .epsilon = (float)a->epsilon };
    o->k.k->vec->adamw(p->data + from, p->m + from, p->v + from, p->grad + from, &row, to - from);
    if (p->packed && p->rank == 2)              /* while it is in the cache */
        packed_set_rows(&o->k, p->packed, p->data, p->shape[1], from / p->shape[1], (to - from) / p->shape[1]);
}

static void behind_task(void *ctx, size_t i, int worker)
{
    const struct optim *o = ctx;
    step_task(ctx, o->turn[o->now].first + i, worker);
}

/* As far as adamw_begin goes. */
static void step_begin(struct optim *o)
{
    size_t now = o->turn[o->now].first, all = o->turn[o->n].first;
    for (size_t i = 0; i < o->n; i++)
        o->turn[i].p->steps++;
    if (team_behind(o->k.team, all - now, behind_task, o) < 0) {
        team_run(o->k.team, all, step_task, o);
        return;
    }
    for (size_t i = o->now; i < o->n; i++) {
        struct param *p = o->turn[i].p;
        p->behind.from = o->turn[i].first - now;
        p->behind.to = o->turn[i + 1].first - now;
        p->behind.rows = chunk_size(p) / p->shape[1];
    }
    team_run(o->k.team, now, step_task, o);
}

double adamw_begin(const struct compute *k, struct params *ps, const struct adamw *a, double tokens)
{
    struct optim *o = step_list(k, ps);
    double norm = o ? norm_of(o, tokens) : NAN;
    if (isfinite(norm)) {
        double clip = a->max_grad_norm > 0 ? a->max_grad_norm / (norm + 1e-6) : 1;
        o->a = *a;
        o->factor = (float)((clip < 1 ? clip : 1) / tokens);
        step_begin(o);
        if (ps->lent)           /* the next run of the tape takes the gradients' memory back */
            adamw_end(k, ps);
    }
    grads_clear(ps);
    return norm;
}

void adamw_end(const struct compute *k, struct params *ps)
{
    if (!ps->optim)
        return;
    team_behind_end(k->team);
    for (size_t i = 0; i < ps->n; i++)
        ps->p[i]->behind.to = 0;
}

double adamw_step(const struct compute *k, struct params *ps, const struct adamw *a, double tokens)
{
    double norm = adamw_begin(k, ps, a, tokens);
    adamw_end(k, ps);
    return norm;
}

void grads_clear(struct params *ps)
{
    for (size_t i = 0; i < ps->n; i++)
        ps->p[i]->has_grad = false;
}
