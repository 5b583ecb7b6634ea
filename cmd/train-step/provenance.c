/* cmd/train-step/provenance.c - refusing samples that were made for another model
 *
 * A stream's header says with which settings each stage made it; those that the
 * model's own files fix must be the same. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/train-step/trainer.h"

/* A whole number that a stage must have been given. */
static int same_int(const struct trainer *t, const struct header *h, const char *stage, const char *key, size_t want, struct error *e)
{
    double got;
    if (!want || !header_option_real(h, stage, key, &got) || got == (double)want)
        return 0;
    return error_set(e, STATUS_BAD, "the samples were made for another model: %s had %s %.0f, but '%s' wants %zu",
                     stage, key, got, t->dir.path, want);
}

int provenance_check(const struct trainer *t, const struct header *h, struct error *e)
{
    return same_int(t, h, "mel-features", "feature_size", t->model->bins, e);
}
