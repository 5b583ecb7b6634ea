/* kernels/models/whisper/augment.c - SpecAugment: spans of time and of bins become zero in training
 *
 * D. Park and others, 2019, with transformers' rule for the number of spans:
 * floor(prob * length / span + u), u uniform in [0, 1), at least `least`, at most as many
 * as fit into a whole input side by side, or have a start in what was heard;
 * starts are drawn without repetition; spans may overlap.  Time is masked within what
 * was heard, not in the padding.  Draws are keyed by the row's key, of (seed, epoch, id). */
#include "kernels/models/whisper/whisper.h"
#include "kernels/nn/random.h"

#include <string.h>

enum { SPANS = 4096 };

/* Starts of spans in [0, length) of a whole input of `all`: how many. */
static size_t spans_draw(uint64_t key, double prob, size_t span, size_t least, size_t length, size_t all, size_t *start)
{
    size_t places = length + 1 > span ? length + 1 - span : 0;
    size_t n = (size_t)(prob * (double)length / (double)span + (double)random_uniform(key, 0));
    n = n > least ? n : least;
    n = n * span > all ? all / span : n;
    n = n < places ? n : places;
    n = n < SPANS ? n : SPANS;
    for (size_t i = 0, draw = 1; i < n; draw++) {
        size_t at = (size_t)((double)random_uniform(key, draw) * (double)places), same = 0;
        for (size_t k = 0; k < i; k++)
            same |= start[k] == at;
        if (!same)
            start[i++] = at;
    }
    return n;
}

struct augment { const struct whisper *w; const struct batch *b; float *x; };

static void augment_task(void *ctx, size_t row, int worker)
{
    (void)worker;
    const struct augment *j = ctx;
    const struct whisper *w = j->w;
    size_t bins = j->b->bins, frames = j->b->frames, start[SPANS], n;
    float *x = j->x + row * frames * bins;
    uint64_t key = random_key(j->b->key[row], 0x6d61736bu);
    n = w->augment.time_prob > 0 ? spans_draw(random_key(key, 0), w->augment.time_prob, w->augment.time_length,
                                              w->augment.time_least, j->b->heard[row], frames, start) : 0;
    for (size_t i = 0; i < n; i++)
        memset(x + start[i] * bins, 0, w->augment.time_length * bins * sizeof *x);
    n = w->augment.feature_prob > 0 ? spans_draw(random_key(key, 1), w->augment.feature_prob, w->augment.feature_length,
                                                 w->augment.feature_least, bins, bins, start) : 0;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < frames; f++)
            memset(x + f * bins + start[i], 0, w->augment.feature_length * sizeof *x);
}

struct tensor *whisper_augment(struct tape *t, const struct whisper *w, const struct batch *b, struct tensor *x)
{
    struct augment j = { w, b, x->data };
    if (w->augment.on && t->mode == TAPE_TRAIN && !t->dry && !t->failed)
        team_run(t->compute->team, b->rows, augment_task, &j);
    return x;
}
