/* kernels/nn/optim/optim.c - see optim.h */
#include "kernels/nn/optim/optim.h"
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/linalg/vec/vec.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 65536, GROUP = 64 };     /* numbers a task takes, about; rows that packed_set_rows takes */

/* Of a matrix whole groups of rows, so that a task can pack what it has just changed. */
static size_t chunk_size(const struct param *p)
{
    if (p->rank != 2)
        return CHUNK;
    size_t group = GROUP * p->shape[1];
    return group < CHUNK ? CHUNK / group * group : group;
}

/* Chunks of all parameters, numbered through; made once. */
static int chunks_make(struct params *ps)
{
    if (ps->partial && ps->n_chunked == ps->n)
        return 0;
    free(ps->chunk);
    free(ps->partial);
    ps->partial = NULL;
    ps->chunk = malloc((ps->n + 1) * sizeof *ps->chunk);
    if (!ps->chunk)
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++) {
        ps->chunk[i] = n;
        size_t size = chunk_size(ps->p[i]);
        n += ps->p[i]->m ? (ps->p[i]->count + size - 1) / size : 0;
    }
    ps->chunk[ps->n] = n;
    ps->partial = malloc((n ? n : 1) * sizeof *ps->partial);
    ps->n_chunked = ps->n;
    return ps->partial ? 0 : -1;
}

/* The parameter of a chunk, and which numbers of it. */
static struct param *chunk_find(const struct params *ps, size_t chunk, size_t *from, size_t *to)
{
    size_t low = 0, high = ps->n;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (ps->chunk[mid] <= chunk)
            low = mid;
        else
            high = mid;
    }
    struct param *p = ps->p[low];
    size_t size = chunk_size(p);
    *from = (chunk - ps->chunk[low]) * size;
    *to = *from + size < p->count ? *from + size : p->count;
    return p;
}

static bool steps(const struct param *p) { return p->trained && p->grad && p->has_grad; }

/* --- the norm -------------------------------------------------------------------- */
struct norm { const struct kernels *k; const struct params *ps; };

static void norm_task(void *ctx, size_t chunk, int worker)
{
    (void)worker;
    const struct norm *n = ctx;
    const struct params *ps = n->ps;
    size_t from, to;
    const struct param *p = chunk_find(ps, chunk, &from, &to);
    if (!steps(p))
        ps->partial[chunk] = 0;
    else if (p->squared)
        ps->partial[chunk] = from ? 0 : p->squares;
    else
        ps->partial[chunk] = n->k->vec->squares(p->grad + from, to - from);
}

double grad_norm(const struct compute *k, struct params *ps, double tokens)
{
    if (chunks_make(ps))
        return NAN;
    struct norm n = { k->k, ps };
    team_run(k->team, ps->chunk[ps->n], norm_task, &n);
    double sum = 0;
    for (size_t i = 0; i < ps->chunk[ps->n]; i++)
        sum += ps->partial[i];
    return sqrt(sum) / tokens;
}

/* --- the step ---------------------------------------------------------------------- */
struct step {
    const struct compute *k;
    struct params *ps;
    const struct adamw *a;
    float factor;               /* of the gradient: 1 / tokens and clipping */
};

static void step_task(void *ctx, size_t chunk, int worker)
{
    (void)worker;
    const struct step *j = ctx;
    const struct adamw *a = j->a;
    size_t from, to;
    struct param *p = chunk_find(j->ps, chunk, &from, &to);
    if (!steps(p))
        return;
    double t = (double)(p->steps + 1);
    float rate = (float)(a->learning_rate / (1 - pow(a->beta1, t))), root = (float)sqrt(1 - pow(a->beta2, t));
    float keep = p->decay ? (float)(1 - a->learning_rate * a->weight_decay) : 1.0f;
    struct adamw_row row = { .factor = j->factor, .keep = keep, .beta1 = (float)a->beta1, .beta2 = (float)a->beta2,
                             .share1 = (float)(1 - a->beta1), .share2 = (float)(1 - a->beta2), .rate = rate, .root = root,
                             .epsilon = (float)a->epsilon };
    j->k->k->vec->adamw(p->data + from, p->m + from, p->v + from, p->grad + from, &row, to - from);
    if (p->packed && p->rank == 2)              /* while it is in the cache */
        packed_set_rows(j->k, p->packed, p->data, p->shape[1], from / p->shape[1], (to - from) / p->shape[1]);
}

double adamw_step(const struct compute *k, struct params *ps, const struct adamw *a, double tokens)
{
    double norm = grad_norm(k, ps, tokens);
    if (isfinite(norm)) {
        double clip = a->max_grad_norm > 0 ? a->max_grad_norm / (norm + 1e-6) : 1;
        struct step j = { k, ps, a, (float)((clip < 1 ? clip : 1) / tokens) };
        team_run(k->team, ps->chunk[ps->n], step_task, &j);
        for (size_t i = 0; i < ps->n; i++)
            ps->p[i]->steps += steps(ps->p[i]);
    }
    grads_clear(ps);
    return norm;
}

void grads_clear(struct params *ps)
{
    for (size_t i = 0; i < ps->n; i++)
        ps->p[i]->has_grad = false;
}
