/* kernels/models/arch.h - what an architecture gives and is given; private to kernels/models */
#ifndef PENSTOCK_ARCH_H
#define PENSTOCK_ARCH_H

#include <jansson.h>

#include "kernels/models/model.h"

struct arch {
    const char *const *types;   /* values of model_type, NULL-terminated */
    size_t config_size;         /* of its own struct, zeroed before configure */
    /* Fills m's facts and config and adds all parameters; -1 with why. */
    int (*configure)(struct model *m, const json_t *config, char why[WHY]);
    struct tensor *(*forward)(struct tape *t, struct model *m, const struct batch *b, struct cache *c);
    void (*release)(void *config);      /* what config owns; may be NULL */
};
extern const struct arch *const arch_list[];    /* registry.c; NULL-terminated */

/* --- reading a configuration: absent keys keep *to; -1 with why names key and range ------ */
int config_size(const json_t *c, const char *key, size_t min, size_t max, size_t *to, char why[WHY]);
int config_id(const json_t *c, const char *key, int32_t *to, char why[WHY]);            /* null: -1 */
int config_real(const json_t *c, const char *key, double min, double max, double *to, char why[WHY]);
int config_bool(const json_t *c, const char *key, bool *to, char why[WHY]);

/* --- parameters, named by a format ------------------------------------------------------- */
/* All return NULL out of memory, and mark m->failed. */
struct param *model_linear(struct model *m, size_t out, size_t in, const char *fmt,
                           ...) __attribute__((format(printf, 4, 5)));
struct param *model_table(struct model *m, size_t entries, size_t width, const char *fmt,
                          ...) __attribute__((format(printf, 4, 5)));
struct param *model_conv(struct model *m, size_t out, size_t in, size_t width, const char *fmt,
                         ...) __attribute__((format(printf, 5, 6)));
struct param *model_vector(struct model *m, size_t n, enum param_init init, const char *fmt,
                           ...) __attribute__((format(printf, 4, 5)));

/* --- what forwards share ------------------------------------------------------------------- */
/* Segments of self-attention: each row by itself, or with a cache all it has seen. */
const struct attended *batch_segments(struct tape *t, const struct batch *b, const struct cache *c);
/* The position of each token in its row. */
const int32_t *batch_positions(struct tape *t, const struct batch *b, const struct cache *c);
/* Adds keys and values [tokens, width] of layer i behind what is cached, and makes *k and *v the whole. */
void cache_append(struct tape *t, struct cache *c, size_t i, const struct batch *b, struct tensor **k, struct tensor **v);

#endif
