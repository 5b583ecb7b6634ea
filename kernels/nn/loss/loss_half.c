/* kernels/nn/loss/loss_half.c - exponentials of logits in bfloat16, and what becomes of them: loss.h */
#include "kernels/nn/loss/loss.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"

#include <math.h>

enum { STRETCH = 1024 };        /* entries scaled at once */

void loss_half_block(void *ctx, size_t row, size_t col, size_t m, size_t n, float *z, size_t ldz)
{
    const struct chunk *c = ctx;
    for (size_t i = 0; i < m; i++, z += ldz) {
        size_t r = row + i, id = (size_t)c->target[r].id;
        float *max = c->max + r * c->pieces + col / PANEL, *mass = c->mass + r * c->pieces + col / PANEL;
        if (id - col < n)
            c->own[r] = z[id - col];
        max[0] = c->k->vec->max(z, n);
        mass[0] = c->k->vec->attend(c->e + r * c->ld + col, z, 1, max[0], n);
        for (size_t p = 1; p * PANEL < n; p++) {
            max[p] = max[0];
            mass[p] = 0;
        }
    }
}

/* e becomes its probability; factor: of each piece. */
static void row_scale(const struct chunk *c, uint16_t *e, const float *factor)
{
    const struct pack *pack = c->k->pack;
    float room[STRETCH];
    for (size_t j = 0; j < c->vocab; j += STRETCH) {
        size_t n = c->vocab - j < STRETCH ? c->vocab - j : STRETCH;
        pack->to_f32(room, e + j, n);
        for (size_t p = 0; p < n; p += PANEL)
            for (size_t i = p; i < p + PANEL; i++)      /* past n at the end: room, not used */
                room[i] *= factor[(j + p) / PANEL];
        pack->from_f32(e + j, room, n);
    }
}

void loss_half_task(void *ctx, size_t r, int worker)
{
    (void)worker;
    const struct chunk *c = ctx;
    const struct vec *vec = c->k->vec;
    float *max = c->max + r * c->pieces, *mass = c->mass + r * c->pieces, most = vec->max(max, c->pieces);
    vec->exp_sum(max, max, 1, most, c->pieces);
    double total = 0;
    for (size_t p = 0; p < c->pieces; p++)
        total += (double)mass[p] * (double)max[p];
    double lse = (double)most + log(total);
    c->nll[r] = c->sum[r] = lse - (double)c->own[r];
    if (!c->gradient)
        return;
    for (size_t p = 0; p < c->pieces; p++)
        max[p] *= (float)(1 / total);
    uint16_t *e = c->e + r * c->ld;
    row_scale(c, e, max);
    e[c->target[r].id] = bf16_of((float)expm1((double)c->own[r] - lse));
}
