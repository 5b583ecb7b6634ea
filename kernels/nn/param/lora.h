/* kernels/nn/param/lora.h - low-rank adapters as PEFT makes, names and merges them
 *
 * E. Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models", 2021.
 * The product itself is inside tape_linear. */
#ifndef PENSTOCK_LORA_H
#define PENSTOCK_LORA_H

#include "kernels/nn/param/param.h"

struct lora_options {
    size_t r;
    double alpha;
    double dropout;
    bool rslora;                /* scale alpha / sqrt(r) in place of alpha / r */
    const char *targets;        /* pattern over modules (param.h), or "all-linear" */
    const char *layers;         /* "encoder", "decoder", or NULL or "all": a name part that must occur too */
};

/* Freezes all of ps and gives each matching linear weight an adapter, named
 * base_model.model.<module>.lora_A.weight and .lora_B.weight, with init as PEFT's:
 * A uniform in 1/sqrt(in), B zero; data NULL until params_reserve, then param_init.
 * Returns how many matched (never 0), or -1 with why (no match, bad pattern). */
long lora_attach(struct params *ps, const struct lora_options *o, char why[WHY]);

/* The same for one linear weight (r, alpha, dropout, rslora): 0, or -1, out of memory. */
int lora_add(struct params *ps, struct param *w, const struct lora_options *o);

/* W += scale B A in float32, for every weight that carries one; then detaches.  data must be writable. */
void lora_merge(const struct compute *k, struct params *ps);

#endif
