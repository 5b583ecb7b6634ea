/* kernels/linalg/gemm/packed.c - weights in the order that products want: made, filled and freed */
#include "kernels/linalg/gemm/gemm_bf16.h"
#include "kernels/linalg/pages.h"

#include <stdlib.h>

size_t packed_bytes(size_t n, size_t k)
{
    return round_to(n, PANEL) * round_to(k, 2) * sizeof(uint16_t);
}

struct packed *packed_new(size_t n, size_t k)
{
    struct packed *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct packed){.n = n, .k = k, .bytes = packed_bytes(n, k)};
    p->panels = pages_new(p->bytes);
    if (!p->panels) {
        free(p);
        return NULL;
    }
    return p;
}

void packed_free(struct packed *p)
{
    if (p)
        pages_free(p->panels, p->bytes);
    free(p);
}

void packed_set_rows(const struct compute *k, const struct packed *p, const float *w, size_t ldw,
                     size_t first, size_t rows)
{
    for (size_t r = first; r < first + rows; r += PANEL)
        k->k->pack->columns_f32_out(p->panels + r * round_to(p->k, 2), w + r * ldw, ldw,
                                    least(first + rows - r, PANEL), p->k);
}

struct set_job {
    const struct compute *k;
    const struct packed *p;
    const float *w;
    size_t ldw;
};

static void set_task(void *ctx, size_t i, int worker)
{
    const struct set_job *j = ctx;
    (void)worker;
    packed_set_rows(j->k, j->p, j->w, j->ldw, i * PANEL, least(j->p->n - i * PANEL, PANEL));
}

void packed_set(const struct compute *k, const struct packed *p, const float *w, size_t ldw)
{
    struct set_job j = {k, p, w, ldw};
    team_run(k->team, parts(p->n, PANEL), set_task, &j);
}
