/* kernels/nn/optim/optim.h - AdamW as PyTorch computes it, on gradients that are sums over tokens
 *
 * I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019.  Work
 * is cut into chunks of fixed size, sums are in double and in a fixed order: the
 * same bits for any number of threads. */
#ifndef PENSTOCK_OPTIM_H
#define PENSTOCK_OPTIM_H

#include "kernels/nn/param/param.h"

struct adamw {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double max_grad_norm;       /* <= 0: no clipping */
};

/* Norm of grad / tokens over all trained parameters that have a gradient. */
double grad_norm(const struct compute *k, struct params *ps, double tokens);

/* One step: g = grad / tokens, times min(1, max_grad_norm / (norm + 1e-6)); then for each
 * parameter with a gradient, its own t = ++steps:
 *   w -= lr decay w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *   w -= lr / (1-b1^t) m / (sqrt(v) / sqrt(1-b2^t) + epsilon)
 * Afterwards no parameter has a gradient (has_grad false).  tokens > 0: supervised
 * tokens of the whole step.  Returns the norm before clipping; if that is not
 * finite nothing was changed but has_grad. */
double adamw_step(const struct compute *k, struct params *ps, const struct adamw *a, double tokens);

/* The same, but returns while matrices are still being changed, by part of the threads (team_behind): the next
 * forward waits for each where it first reads it, so that what waits for memory and what computes go on at
 * once.  (Not where gradients are lent: there it is adamw_step.)  What reads weights or moments otherwise than by
 * a tape calls adamw_end before, and so does whoever frees them.  The bits are those of adamw_step. */
double adamw_begin(const struct compute *k, struct params *ps, const struct adamw *a, double tokens);
void adamw_end(const struct compute *k, struct params *ps);

/* Forgets gradients without a step. */
void grads_clear(struct params *ps);

#endif
