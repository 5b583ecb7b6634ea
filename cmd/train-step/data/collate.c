/* cmd/train-step/data/collate.c - see collate.h */
#include "cmd/train-step/data/collate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/nn/random.h"

int collator_init(struct collator *c, const struct model *m, size_t rows, uint64_t seed, struct error *e)
{
    *c = (struct collator){ .model = m, .seed = seed, .rows = rows };
    char why[WHY];
    c->ids = malloc(m->max_tokens * sizeof *c->ids);
    c->labels = malloc(m->max_tokens * sizeof *c->labels);
    c->features = malloc((m->bins * m->frames + 1) * sizeof *c->features);
    if (!c->ids || !c->labels || !c->features)
        return error_set(e, STATUS_AGAIN, "no memory for a sample");
    if (batch_reserve(&c->batch, rows, rows * m->max_tokens, m->bins, m->frames, why) < 0)
        return error_set(e, STATUS_AGAIN, "no memory for a batch of %zu samples: %s", rows, why);
    return 0;
}

void collator_release(struct collator *c)
{
    batch_release(&c->batch);
    free(c->ids);
    free(c->labels);
    free(c->features);
    *c = (struct collator){ 0 };
}

/* What augmentation of this sample in this epoch is drawn from: never the state of a worker. */
static uint64_t sample_key(uint64_t seed, uint64_t epoch, struct span id)
{
    uint64_t key = random_key(seed, epoch);
    for (size_t i = 0; i < id.size; i++)
        key = random_mix(key ^ id.data[i]);
    return key;
}

/* A field of whole numbers, each within [0, vocab) or, for labels, -100. */
static enum collate read_ids(struct collator *c, const struct sample *s, const char *field, bool labels, int32_t *to,
                             size_t *n, struct error *e)
{
    struct array a;
    int rc = sample_array(s, field, &a, e);
    if (rc < 0)
        return COLLATE_BAD;
    if (rc == 0 || a.rank != 1)
        return (enum collate)error_set(e, STATUS_BAD, "has no list '%s': tokenize goes before train-step", field);
    if (a.type != ARRAY_I32 && a.type != ARRAY_I64)
        return (enum collate)error_set(e, STATUS_BAD, "'%s' holds %s, not int32", field, array_type_name(a.type));
    if (a.shape[0] < 1 || a.shape[0] > c->model->max_tokens)
        return (enum collate)error_set(e, STATUS_BAD, "'%s' has %" PRIu64 " tokens; this model takes 1 to %zu", field,
                                       a.shape[0], c->model->max_tokens);
    *n = (size_t)a.shape[0];
    for (size_t i = 0; i < *n; i++) {
        double v = array_at(&a, i);
        if (!(v >= 0 && v < (double)c->model->vocab) && !(labels && v == -100)) {
            error_set(e, STATUS_BAD, "'%s' holds id %.0f, but the model's end at %zu: tokenized for another model",
                      field, v, c->model->vocab - 1);
            return COLLATE_FATAL;
        }
        to[i] = (int32_t)v;
    }
    return COLLATE_OK;
}

static enum collate read_features(struct collator *c, const struct sample *s, size_t *heard, double *padding,
                                  struct error *e)
{
    const struct model *m = c->model;
    struct array a;
    char why[WHY];
    *heard = 0;
    *padding = 0;
    if (!m->bins)
        return COLLATE_OK;
    int rc = sample_array(s, "input_features", &a, e);
    if (rc < 0 || sample_real(s, "padding_value", padding, e) < 0)
        return COLLATE_BAD;
    if (rc == 0)
        return (enum collate)error_set(e, STATUS_BAD, "has no 'input_features': mel-features goes before train-step");
    if (a.rank != 2 || a.type != ARRAY_F32)
        return (enum collate)error_set(e, STATUS_BAD, "'input_features' is no float32 matrix [mels, frames]");
    if (a.shape[0] != m->bins) {
        error_set(e, STATUS_BAD, "'input_features' has %" PRIu64 " mel bands, but the model takes %zu: made for another "
                                 "model", a.shape[0], m->bins);
        return COLLATE_FATAL;
    }
    if (a.shape[1] > m->frames)
        return (enum collate)error_set(e, STATUS_BAD, "'input_features' has %" PRIu64 " frames; this model takes %zu: "
                                                      "mel-features --over-long whole is for generate only", a.shape[1],
                                       m->frames);
    *heard = (size_t)a.shape[1];
    memcpy(c->features, a.data.data, m->bins * *heard * sizeof(float));
    if (features_finite(c->features, m->bins, *heard, (float)*padding, why) < 0)
        return (enum collate)error_set(e, STATUS_BAD, "%s", why);
    return COLLATE_OK;
}

enum collate collate_add(struct collator *c, const struct sample *s, uint64_t epoch, struct error *e)
{
    char why[WHY];
    size_t n = 0, n_labels = 0, heard;
    double padding;
    enum collate rc = read_ids(c, s, "input_ids", false, c->ids, &n, e);
    if (rc == COLLATE_OK)
        rc = read_ids(c, s, "labels", true, c->labels, &n_labels, e);
    if (rc == COLLATE_OK)
        rc = read_features(c, s, &heard, &padding, e);
    if (rc != COLLATE_OK)
        return rc;
    if (n != n_labels)
        return (enum collate)error_set(e, STATUS_BAD, "has %zu input_ids but %zu labels", n, n_labels);
    if (batch_add(&c->batch, c->ids, c->labels, n, c->features, c->model->bins, heard, (float)padding,
                  sample_key(c->seed, epoch, sample_id(s)), why) < 0)
        return (enum collate)error_set(e, STATUS_BAD, "%s", why);
    return COLLATE_OK;
}
