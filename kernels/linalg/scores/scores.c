/* kernels/linalg/scores/scores.c - scores.h of a set's tile and functions of rows: what it computes */
#include "kernels/linalg/scores/scores.h"

#include "kernels/linalg/vec/vec.h"

static void forward(const struct kernels *k, const struct scores *x)
{
    float s[SIX * PANEL];
    for (size_t c = 0; c < x->n; c += PANEL) {
        k->gemm_bf16_tile(SIX, PANEL, x->pairs, x->q, 2 * x->pairs, 2, x->k + c * 2 * x->pairs, s, PANEL, false, x->q);
        scores_hide(s, x->seen, c);
        for (size_t i = 0; i < SIX; i++) {
            if (x->guess && c == 0)
                x->shift[i] = scores_shift(k->vec->max(s + i * PANEL, PANEL), x->scale);
            x->sum[i] += k->vec->attend(x->p + i * x->ld + c, s + i * PANEL, x->scale, x->shift[i], PANEL);
        }
    }
}

static void backward(const struct kernels *k, const struct scores_back *x)
{
    float s[SIX * PANEL], dp[SIX * PANEL];
    size_t d = 2 * x->pairs;
    for (size_t c = 0; c < x->n; c += PANEL)
        for (size_t r = 0; r < x->rows; r += SIX) {
            size_t at = r * x->ld + c;
            uint16_t *turned = x->turned + c / PANEL * x->panel + r * PANEL;
            if (scores_pass(x, r, c))
                continue;
            k->gemm_bf16_tile(SIX, PANEL, x->pairs, x->k + r * d, d, 2, x->q + c * d, s, PANEL, false, x->q);
            k->gemm_bf16_tile(SIX, PANEL, x->pairs, x->v + r * d, d, 2, x->d_o + c * d, dp, PANEL, false, x->q);
            scores_hide(s, x->seen + r, c);
            for (size_t i = 0; i < SIX; i++)
                k->vec->attend_back(x->p + at + i * x->ld, x->ds + at + i * x->ld, s + i * PANEL, dp + i * PANEL,
                                    x->lse + c, x->dot + c, x->scale, PANEL);
            k->pack->rows_bf16(turned, x->ds + at, x->ld, SIX, PANEL);
        }
}

const struct scores_kernel scores_plain = { .forward = forward, .backward = backward };
