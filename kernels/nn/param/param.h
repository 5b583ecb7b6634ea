/* kernels/nn/param/param.h - the parameters of a model: weights by name, with what training needs beside them
 *
 * Names are exactly those of the safetensors file.  A model file makes the list
 * (kernels/models); whoever reads the checkpoint sets `data`; lora_attach adds
 * adapters; params_reserve gives memory to what has none yet. */
#ifndef PENSTOCK_PARAM_H
#define PENSTOCK_PARAM_H

#include "kernels/linalg/compute.h"

enum { PARAM_RANK = 4 };

enum param_kind {
    PARAM_LINEAR,               /* [out, in]: may carry an adapter */
    PARAM_CONV,                 /* [out, in, width] */
    PARAM_EMBEDDING,            /* [entries, width] */
    PARAM_VECTOR,               /* biases, norms */
    PARAM_ADAPTER,              /* lora_A [r, in], lora_B [out, r] */
};

enum param_init { INIT_NORMAL, INIT_ZERO, INIT_ONE, INIT_SINUSOID, INIT_UNIFORM };

struct optim;                   /* the optimizer's own: kernels/nn/optim/optim.c */
struct packed;                  /* a bfloat16 copy for the products: kernels/linalg/gemm/gemm.h */
struct param;

struct lora {                   /* y = W x + b + scale B (A x) */
    struct param *a, *b;        /* [r, in], [out, r]; in the same list */
    float scale;                /* alpha / r, or alpha / sqrt(r) */
    float dropout;              /* of A's input, in training */
};

struct param {
    char *name;
    enum param_kind kind;
    int rank;
    size_t shape[PARAM_RANK];
    size_t count;               /* product of shape */

    float *data;                /* float32 master, row-major; of a frozen one it may lie in a read-only file map */
    bool trained;               /* false: no gradient is computed, data is never written */
    bool buffer;                /* never trained, whatever is asked (Whisper's encoder sinusoids) */
    bool last;                  /* the output layer, with weights of its own: adapters of "all-linear" pass it by */
    bool decay;                 /* weight decay applies: not to biases and norms */

    /* trained only: sum over the supervised tokens since the last optimizer step; NULL: none, or see params.lent */
    float *grad;
    bool has_grad;              /* grad holds something; false: its bytes mean nothing and the optimizer skips it */
    bool squared;               /* squares is the sum of grad's: whoever wrote it last has summed them */
    double squares;
    float *m, *v;               /* trained only: AdamW's moments */
    uint64_t steps;             /* AdamW steps taken by this parameter */
    struct { size_t from, to, rows; } behind;   /* the team's tasks that change it, `rows` each: see param_settle */

    struct param *lent_next, **lent_from;       /* grad is a tape's: among those of its run; else NULL */

    struct lora lora;           /* a == NULL: none */
    struct packed *packed;      /* NULL until a product in bfloat16 wants it; adamw_step keeps it up to date */

    enum param_init init;       /* what model-init writes */
    float init_scale;           /* standard deviation, or the bound of INIT_UNIFORM */
};

/* lent, to be set before params_reserve: gradients have no memory of their own.  A run of a tape
 * takes it from its arena, where activations leave it free, and the next tape_begin takes it back:
 * the optimizer's step must come between two runs, so no gradient adds up over several. */
struct params {
    struct param **p;           /* in the order of the model file; pointers stay valid as the list grows */
    size_t n, room;
    bool lent;
    struct param **by_name;     /* sorted; made by the first params_find after a change */
    void *memory[16];           /* what params_reserve gave */
    size_t memory_size[16];
    int n_memory;
    struct optim *optim;        /* one block of memory; NULL before the first step */
};

/* Appends one with data NULL, trained = !buffer.  NULL: out of memory, or the name is there already. */
struct param *params_add(struct params *ps, const char *name, enum param_kind kind, int rank, const size_t *shape);
struct param *params_find(struct params *ps, const char *name);        /* NULL if there is none */
/* Memory for every `data` that is NULL, and with `training` for grad, m and v of
 * every trained one that has none (grad unless lent).  Zeroed lazily by the system: pages are
 * taken when first touched.  May be called again after lora_attach. */
int params_reserve(struct params *ps, bool training, char why[WHY]);
void params_release(struct params *ps);
/* A gradient's memory is lent by whoever keeps `list`, which is in one piece again whenever a borrower goes. */
void param_lend(struct param *p, float *grad, struct param **list);
void param_unlend(struct param *p);             /* then it has none */
/* Where the last optimizer step is still being done (adamw_begin): returns when that of this matrix, or of
 * one row of it, is.  Before its data or its packed copy is read, and before its gradient is written. */
void param_settle(const struct compute *k, struct param *p);
void param_settle_row(const struct compute *k, const struct param *p, size_t row);
size_t params_count(const struct params *ps, bool trained_only);       /* numbers, not bytes */

/* Fills data by p->init; the numbers depend on seed and name alone. */
void param_init(struct param *p, uint64_t seed);

/* --- choosing parameters by name ------------------------------------------------
 * pattern: a comma list of last name parts ("q_proj,v_proj", "encoder.conv1"), or,
 * if it holds any of \ * + ? ( ) [ ] { } | ^ $, a regular expression (PCRE2).
 * A module is a parameter's name without the final ".weight" or ".bias". */
struct match;
struct match *match_new(const char *pattern, char why[WHY]);
void match_free(struct match *m);
/* As PEFT: a list item equals the module's name or its last parts; an expression matches the whole name. */
bool match_module(const struct match *m, const char *param_name);
/* For --freeze: an expression matches anywhere in the tensor's name; a list item is
 * one or more whole parts of it ("encoder", "encoder.layers.0", "q_proj"). */
bool match_tensor(const struct match *m, const char *param_name);
/* Freezes what matches; returns how many (0: the caller complains). */
size_t params_freeze(struct params *ps, const struct match *m);

#endif
