/* kernels/models/generate/windows.c - long audio in windows: what one window said, and where the next begins
 *
 * The rules are those of OpenAI's transcribe and transformers' long-form generation. */
#include "kernels/models/generate/generate.h"

#include <math.h>

static bool is_time(const struct window *w, size_t i) { return w->token[i] >= w->time; }

/* Tokens [from, end) of it, told by the times at both ends. */
static struct utterance told(const struct window *w, size_t from, size_t end, size_t last)
{
    return (struct utterance){ w->begin + WINDOW_STEP * (w->token[from] - w->time),
                               w->begin + WINDOW_STEP * (w->token[last] - w->time), from, end - from };
}

/* No pair of times: all of it is one utterance, up to its last time if it has one beyond 0. */
static size_t whole(const struct window *w, struct utterance *u)
{
    /* a step less of some: so does transformers */
    double end = w->begin + WINDOW_STEP * floor((double)((float)w->frames * 0.01f / 0.02f));
    for (size_t i = w->n; i-- > 0;)
        if (is_time(w, i)) {
            if (w->token[i] > w->time)
                end = w->begin + WINDOW_STEP * (w->token[i] - w->time);
            break;
        }
    *u = (struct utterance){ w->begin, end, 0, w->n };
    return w->n ? 1 : 0;
}

size_t window_read(const struct window *w, struct utterance *u, size_t *used, size_t *advance)
{
    size_t count = 0, from = 0;
    bool closed = w->n >= 2 && is_time(w, w->n - 1) && !is_time(w, w->n - 2);
    *used = w->n;
    *advance = w->frames;
    for (size_t i = 1; i < w->n; i++)
        if (is_time(w, i - 1) && is_time(w, i)) {
            u[count++] = told(w, from, i, i - 1);
            from = i;
        }
    if (!count)
        return whole(w, u);
    if (closed) {
        u[count++] = told(w, from, w->n, w->n - 1);
        return count;
    }
    u[count - 1].n++;                                   /* the pair's second time shows where the rest was left */
    *used = from + 1;
    size_t heard = 2 * (size_t)(w->token[from - 1] - w->time);
    *advance = heard ? heard : w->frames;               /* a pair at 0 must not hold the window there */
    return count;
}
