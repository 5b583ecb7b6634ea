/* kernels/models/generate/sample.c - one token out of its logits: the likeliest, or a draw
 *
 * The order is transformers': penalty, rules, temperature, top-k, top-p, min-p. */
#include "kernels/models/generate/generate.h"
#include "kernels/nn/random.h"

#include <math.h>
#include <stdlib.h>

static bool occurs(int32_t id, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

void repetition_apply(const struct sampling *s, float *logits, size_t vocab, const int32_t *prompt, size_t n_prompt,
                      const int32_t *done, size_t n)
{
    float penalty = (float)s->repetition_penalty;
    if (!(penalty > 0) || penalty == 1)
        return;
    for (size_t i = 0; i < n_prompt + n; i++) {     /* each once, however often it occurs */
        int32_t id = i < n_prompt ? prompt[i] : done[i - n_prompt];
        size_t before = i < n_prompt ? i : n_prompt;
        if (id < 0 || (size_t)id >= vocab || occurs(id, prompt, before) || occurs(id, done, i - before))
            continue;
        logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
}

static size_t likeliest(const float *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static double exp_total(const float *logits, size_t vocab, double max)
{
    double sum = 0;
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - max);
    return sum;
}

static int by_p(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The k-th largest of list[0, n): Hoare's selection, on the list itself. */
static float kth_largest(struct choice *list, size_t n, size_t k)
{
    size_t low = 0, high = n - 1, want = k - 1;
    while (low < high) {
        float pivot = list[low + (high - low) / 2].p;
        size_t i = low, j = high;
        while (i <= j) {
            while (list[i].p > pivot)
                i++;
            while (list[j].p < pivot)
                j--;
            if (i > j)
                break;
            struct choice t = list[i];
            list[i++] = list[j];
            list[j] = t;
            if (!j--)
                break;
        }
        if (want <= j && j < n)
            high = j;
        else if (want >= i)
            low = i;
        else
            break;
    }
    return list[want].p;
}

static size_t at_least(struct choice *list, size_t n, float p)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].p >= p)
            list[kept++] = list[i];
    return kept;
}

static double total(const struct choice *list, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)list[i].p;
    return sum;
}

/* The fewest, from the top, that hold top_p of the whole: sorted, cut. */
static size_t top_p_keep(struct choice *list, size_t n, double top_p)
{
    double sum = total(list, n), so_far = 0;
    n = at_least(list, n, (float)((1 - top_p) * sum / (double)n));     /* all below together are less than is left out */
    qsort(list, n, sizeof *list, by_p);
    size_t kept = 0;
    while (kept < n && so_far < top_p * sum)
        so_far += (double)list[kept++].p;
    return kept;
}

static int32_t token_draw(const struct sampling *s, const float *logits, size_t vocab, size_t best, uint64_t key,
                          struct choice *list)
{
    size_t n = 0;
    for (size_t i = 0; i < vocab; i++) {
        double p = exp(((double)logits[i] - (double)logits[best]) / s->temperature);
        if (p > 0)
            list[n++] = (struct choice){ (float)p, (int32_t)i };
    }
    if (s->top_k && s->top_k < n) {
        n = at_least(list, n, kth_largest(list, n, s->top_k));
        qsort(list, n, sizeof *list, by_p);             /* the selection left them in an order of its own */
    }
    if (s->top_p > 0 && s->top_p < 1)
        n = top_p_keep(list, n, s->top_p);
    if (s->min_p > 0)
        n = at_least(list, n, (float)s->min_p);
    double at = (double)random_uniform(key, 0) * total(list, n);
    for (size_t i = 0; i + 1 < n; i++) {
        at -= (double)list[i].p;
        if (at < 0)
            return list[i].id;
    }
    return n ? list[n - 1].id : (int32_t)best;
}

int32_t token_choose(const struct sampling *s, float *logits, size_t vocab, uint64_t key, struct choice *scratch,
                     double *logprob)
{
    size_t best = likeliest(logits, vocab);
    double max = (double)logits[best], lse = max + log(exp_total(logits, vocab, max));
    int32_t token = s->temperature > 0 ? token_draw(s, logits, vocab, best, key, scratch) : (int32_t)best;
    *logprob += (double)logits[token] - lse;
    return token;
}
