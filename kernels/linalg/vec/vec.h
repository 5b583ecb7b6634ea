/* kernels/linalg/vec/vec.h - functions of rows of float32: activations, norms, softmax, the optimizer
 *
 * One body in plain C (vec_body.h), compiled once for each instruction set: the
 * compiler makes the vectors, so the variants are one text.  exp and the normal
 * distribution are good to about 2 units in the last place (vmath.h).  Sums are
 * in an order fixed by the length.  n may be anything; in-place where y may be x. */
#ifndef PENSTOCK_VEC_H
#define PENSTOCK_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct norm_row {               /* h = (x - mean) * scale; y = h * (offset + w) + b */
    const float *w, *b;         /* may be NULL: 1, 0 */
    float eps, offset;
    bool centre;                /* layer norm; else the mean is 0 */
};

struct adamw_row {
    float factor;               /* of the gradient */
    float keep;                 /* of the weight: 1 - rate * decay */
    float beta1, beta2;
    float rate, root, epsilon;  /* w -= rate m / (sqrt(v) / root + epsilon) */
    float share1, share2;       /* 1 - beta */
};

struct vec {
    /* y = x P(x); dx (+)= dy (P(x) + x p(x)). */
    void (*gelu)(float *y, const float *x, size_t n);
    void (*gelu_back)(float *dx, bool add, const float *x, const float *dy, size_t n);
    /* The same of what is kept in bfloat16, rounded: y = gelu(x); dx = dy gelu'(x) and, unless NULL, y = gelu(x).
     * Good to 1e-4 of the value, a twentieth of what rounding takes. */
    void (*gelu_narrow)(uint16_t *y, const uint16_t *x, size_t n);
    void (*gelu_back_narrow)(uint16_t *dx, uint16_t *y, const float *dy, const uint16_t *x, size_t n);
    /* y = gelu_tanh(x) z; dx, dz may be NULL. */
    void (*gated)(float *y, const float *x, const float *z, size_t n);
    void (*gated_back)(float *dx, bool add_x, float *dz, bool add_z, const float *x, const float *z, const float *dy,
                       size_t n);

    float (*max)(const float *x, size_t n);                     /* -inf of none */
    double (*sum)(const float *x, size_t n);
    double (*squares)(const float *x, size_t n);                /* summed: up to 4096 in float32, those in double */
    float (*dot)(const float *x, const float *y, size_t n);
    float (*dot_half)(const uint16_t *x, const uint16_t *y, size_t n);  /* of bfloat16 */
    /* sum[c] = x[0, c] + x[1, c] + ..., ld elements from row to row. */
    void (*columns)(float *sum, const float *x, size_t ld, size_t rows, size_t n);
    void (*columns_half)(float *sum, const uint16_t *x, size_t ld, size_t rows, size_t n);     /* of bfloat16 */
    /* y = exp(scale x - shift); the sum; y may be x */
    float (*exp_sum)(float *y, const float *x, float scale, float shift, size_t n);
    /* y = (exp(x - shift) - even) (1 - cap2 x^2): softmax's gradient, up to its own target */
    void (*softmax_back)(float *y, const float *x, float shift, float share, float even, float cap2, size_t n);
    void (*cap)(float *y, const float *x, float cap, size_t n); /* cap tanh(x / cap) */

    /* Attention in bfloat16.  p = exp(scale s - shift), rounded; returns the sum before rounding.  s may be overwritten. */
    float (*attend)(uint16_t *p, float *s, float scale, float shift, size_t n);
    /* p = exp(scale s - lse), ds = p (dp - dot) scale, both rounded; lse and dot are per element.  s and dp may be
     * overwritten. */
    void (*attend_back)(uint16_t *p, uint16_t *ds, float *s, float *dp, const float *lse, const float *dot, float scale,
                        size_t n);

    void (*norm)(float *y, const float *x, const struct norm_row *r, float *mean, float *scale, size_t n);
    /* y = h (offset + w) + b */
    void (*norm_affine)(float *y, const float *h, const struct norm_row *r, size_t n);
    /* dx (+)= slope (g - mean(g) - h mean(g h)), g = dy (offset + w), h = (x - mean) scale; slope: of h by its input. */
    void (*norm_back)(float *dx, bool add, const float *x, const float *dy, const struct norm_row *r, float mean,
                      float scale, float slope, size_t n);
    void (*norm_weight)(float *dw, const float *x, const float *dy, float mean, float scale, size_t n);     /* dw += dy h */

    void (*add)(float *y, const float *a, const float *b, size_t n);
    /* A head's rotation by angles of cosine c and sine sign s: (a, b) -> (a c - b s, b c + a s), a and b half a head
     * each; y (+)= that.  y may be x unless it is added to. */
    void (*rope)(float *y, bool add, const float *x, const float *c, const float *s, float sign, size_t half);
    void (*adamw)(float *w, float *m, float *v, const float *g, const struct adamw_row *a, size_t n);
};
extern const struct vec vec_ref, vec_avx2, vec_avx512, vec_avx512bf16;

#endif
