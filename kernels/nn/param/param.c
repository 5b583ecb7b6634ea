/* kernels/nn/param/param.c - see param.h; choosing by name is in match.c */
#include "kernels/nn/param/param.h"
#include "kernels/linalg/gemm/gemm.h"
#include "kernels/nn/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct param *params_add(struct params *ps, const char *name, enum param_kind kind, int rank, const size_t *shape)
{
    for (size_t i = 0; i < ps->n; i++)
        if (!strcmp(ps->p[i]->name, name))
            return NULL;
    if (ps->n == ps->room) {
        size_t room = ps->room ? 2 * ps->room : 128;
        struct param **more = realloc(ps->p, room * sizeof *more);
        if (!more)
            return NULL;
        ps->p = more;
        ps->room = room;
    }
    struct param *p = calloc(1, sizeof *p);
    if (!p || !(p->name = strdup(name))) {
        free(p);
        return NULL;
    }
    p->kind = kind;
    p->rank = rank;
    p->count = 1;
    for (int i = 0; i < rank; i++) {
        p->shape[i] = shape[i];
        p->count *= shape[i];
    }
    p->trained = true;
    p->decay = kind != PARAM_VECTOR;
    p->init_scale = 0.02f;
    ps->p[ps->n++] = p;
    free(ps->by_name);
    ps->by_name = NULL;
    return p;
}

static int by_name(const void *a, const void *b)
{
    const struct param *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

struct param *params_find(struct params *ps, const char *name)
{
    if (!ps->by_name && ps->n) {
        ps->by_name = malloc(ps->n * sizeof *ps->by_name);
        if (!ps->by_name)
            return NULL;
        memcpy(ps->by_name, ps->p, ps->n * sizeof *ps->p);
        qsort(ps->by_name, ps->n, sizeof *ps->by_name, by_name);
    }
    size_t low = 0, high = ps->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(ps->by_name[mid]->name, name);
        if (!c)
            return ps->by_name[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static size_t padded(size_t n) { return (n + 15) / 16 * 16; }   /* floats, to 64 bytes */

int params_reserve(struct params *ps, bool training, char why[WHY])
{
    size_t total = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const struct param *p = ps->p[i];
        total += p->data ? 0 : padded(p->count);
        total += training && p->trained && !p->m ? (ps->lent ? 2 : 3) * padded(p->count) : 0;
    }
    if (!total)
        return 0;
    size_t bytes = total * sizeof(float);
    void *map = ps->n_memory < 16 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) :
                MAP_FAILED;
    if (map == MAP_FAILED) {
        snprintf(why, WHY, "out of memory: the parameters want %zu MiB", bytes >> 20);
        return -1;
    }
#ifdef MADV_HUGEPAGE
    madvise(map, bytes, MADV_HUGEPAGE);
#endif
    ps->memory[ps->n_memory] = map;
    ps->memory_size[ps->n_memory++] = bytes;
    float *at = map;
    for (int kind = 0; kind < 4; kind++)        /* all masters, all gradients, ... */
        for (size_t i = 0; i < ps->n; i++) {
            struct param *p = ps->p[i];
            float **to = kind == 0 ? &p->data : kind == 1 ? &p->grad : kind == 2 ? &p->m : &p->v;
            if (*to || (kind && !(training && p->trained)) || (kind == 1 && ps->lent))
                continue;
            *to = at;
            at += padded(p->count);
        }
    return 0;
}

void params_release(struct params *ps)
{
    for (size_t i = 0; i < ps->n; i++) {
        packed_free(ps->p[i]->packed);
        if (ps->p[i]->lent_from)
            param_unlend(ps->p[i]);
        free(ps->p[i]->name);
        free(ps->p[i]);
    }
    for (int i = 0; i < ps->n_memory; i++)
        munmap(ps->memory[i], ps->memory_size[i]);
    free(ps->p);
    free(ps->by_name);
    free(ps->optim);
    *ps = (struct params){ 0 };
}

void param_settle(const struct compute *k, struct param *p)
{
    if (p->behind.to)
        team_need(k->team, p->behind.from, p->behind.to);
    p->behind.to = 0;
}

void param_settle_row(const struct compute *k, const struct param *p, size_t row)
{
    size_t task = p->behind.to ? p->behind.from + row / p->behind.rows : 0;
    if (p->behind.to)
        team_need(k->team, task, task + 1);
}

void param_lend(struct param *p, float *grad, struct param **list)
{
    p->grad = grad;
    p->lent_next = *list;
    p->lent_from = list;
    if (*list)
        (*list)->lent_from = &p->lent_next;
    *list = p;
}

void param_unlend(struct param *p)
{
    *p->lent_from = p->lent_next;
    if (p->lent_next)
        p->lent_next->lent_from = p->lent_from;
    p->lent_next = NULL;
    p->lent_from = NULL;
    p->grad = NULL;
    p->has_grad = false;
}

size_t params_count(const struct params *ps, bool trained_only)
{
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++)
        n += trained_only && !ps->p[i]->trained ? 0 : ps->p[i]->count;
    return n;
}

/* Rows [positions, D]: sin of all rates, then cos; rate i is 10000^(-i / (D/2 - 1)). */
static void sinusoids(struct param *p)
{
    size_t d = p->shape[1], half = d / 2;
    double step = half > 1 ? log(10000.0) / (double)(half - 1) : 0;
    for (size_t r = 0; r < p->shape[0]; r++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)r * exp(-step * (double)i);
            p->data[r * d + i] = (float)sin(angle);
            p->data[r * d + half + i] = (float)cos(angle);
        }
}

void param_init(struct param *p, uint64_t seed)
{
    uint64_t key = random_text(seed, p->name, strlen(p->name));
    if (p->init == INIT_SINUSOID) {
        sinusoids(p);
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        double u = 1.0 - (double)random_uniform(key, 2 * i), v = (double)random_uniform(key, 2 * i + 1);
        switch (p->init) {
        case INIT_ONE: p->data[i] = 1; break;
        case INIT_UNIFORM: p->data[i] = p->init_scale * (2 * (float)v - 1); break;
        case INIT_NORMAL:                       /* Box and Muller */
            p->data[i] = p->init_scale * (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
            break;
        default: p->data[i] = 0;
        }
    }
}
