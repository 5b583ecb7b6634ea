/* cmd/train-step/data/collate.h - samples into batches: what the model takes, checked */
#ifndef PENSTOCK_TRAIN_COLLATE_H
#define PENSTOCK_TRAIN_COLLATE_H

#include "kernels/models/model.h"
#include "libcommon/stream/format/sample.h"

enum collate { COLLATE_FATAL = -2, COLLATE_BAD = -1, COLLATE_OK = 0 };

struct collator {
    const struct model *model;
    uint64_t seed;
    size_t rows;                /* that the batch has room for */
    struct batch batch;
    int32_t *ids, *labels;      /* one row, aligned: [max_tokens] */
    float *features;            /* [bins, frames] */
};

/* Memory for `rows` samples, taken once.  tokens: most that a row may have. */
int collator_init(struct collator *c, const struct model *m, size_t rows, uint64_t seed, struct error *e);
void collator_release(struct collator *c);
/* Adds a sample to c->batch, which has room.  COLLATE_BAD: this record is unusable (e says why);
 * COLLATE_FATAL: the stream was made for another model. */
enum collate collate_add(struct collator *c, const struct sample *s, uint64_t epoch, struct error *e);

#endif
