/* tests/unit/sample_test.c - choosing a token: which may be drawn, how often, and always the same for the same key */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/models/generate/generate.h"
#include "kernels/nn/random.h"

enum { V = 40, DRAWS = 40000 };

static float logits[V];
static struct choice scratch[V];

static size_t count(const struct sampling *s, size_t *seen)
{
    size_t kinds = 0;
    memset(seen, 0, V * sizeof *seen);
    for (uint64_t i = 0; i < DRAWS; i++) {
        double lp = 0;
        float copy[V];
        memcpy(copy, logits, sizeof copy);
        seen[token_choose(s, copy, V, random_key(5, i), scratch, &lp)]++;
    }
    for (size_t i = 0; i < V; i++)
        kinds += seen[i] > 0;
    return kinds;
}

/* How many tokens the rules of transformers leave, by sorting everything. */
static size_t left(const struct sampling *s)
{
    double p[V], sum = 0, so_far = 0;
    size_t n = V, keep = 0;
    for (size_t i = 0; i < V; i++)
        p[i] = exp((double)logits[i] / s->temperature);
    for (size_t i = 0; i < V; i++)
        for (size_t k = i + 1; k < V; k++)
            if (p[k] > p[i]) {
                double t = p[i];
                p[i] = p[k];
                p[k] = t;
            }
    if (s->top_k && s->top_k < n)
        n = s->top_k;
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    if (s->top_p > 0)
        for (keep = 0; keep < n && so_far < s->top_p * sum; keep++)
            so_far += p[keep];
    if (keep)
        n = keep;
    while (s->min_p > 0 && n > 1 && p[n - 1] < s->min_p * p[0])
        n--;
    return n;
}

static void test_kinds(void)
{
    static const struct sampling ways[] = {
        { .temperature = 1 }, { .temperature = 0.7, .top_k = 5 }, { .temperature = 1.3, .top_k = 1 },
        { .temperature = 1, .top_p = 0.5 }, { .temperature = 0.8, .top_p = 0.9, .top_k = 12 },
        { .temperature = 1, .min_p = 0.2 }, { .temperature = 2, .top_k = 20, .top_p = 0.95, .min_p = 0.3 },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        size_t seen[V], n = count(ways + i, seen), want = left(ways + i);
        ok(n == want, "temperature %g, top-k %zu, top-p %g, min-p %g leave %zu tokens (want %zu)", ways[i].temperature,
           ways[i].top_k, ways[i].top_p, ways[i].min_p, n, want);
    }
}

static void test_frequency(void)
{
    struct sampling s = { .temperature = 0.9 };
    size_t seen[V];
    double sum = 0, worst = 0;
    count(&s, seen);
    for (size_t i = 0; i < V; i++)
        sum += exp((double)logits[i] / 0.9);
    for (size_t i = 0; i < V; i++) {
        double p = exp((double)logits[i] / 0.9) / sum, sigma = sqrt(p * (1 - p) / DRAWS);
        double z = fabs((double)seen[i] / DRAWS - p) / sigma;
        worst = worse(worst, z);
    }
    ok(worst <= 4.5, "frequencies are those of the softmax: worst %.1f sigma", worst);
}

static void test_greedy(void)
{
    struct sampling s = { 0 };
    float copy[V];
    double lp = 0, sum = 0;
    memcpy(copy, logits, sizeof copy);
    copy[17] = 9;
    for (size_t i = 0; i < V; i++)
        sum += exp((double)copy[i]);
    is_int(token_choose(&s, copy, V, 1, scratch, &lp), 17, "without a temperature the likeliest is taken");
    ok(fabs(lp - (9 - log(sum))) <= 1e-6, "its log probability is told: %g", lp);
    static const int32_t used[] = { 17, 3, 17 };
    float three = copy[3];
    s.repetition_penalty = 2;
    repetition_apply(&s, copy, V, used, 2, used, 3);
    ok(fabsf(copy[17] - 4.5f) <= 0 && fabsf(copy[3] - (three > 0 ? three / 2 : three * 2)) <= 0,
       "a token used twice is penalised once");
    for (size_t i = 0; i < V; i++)
        copy[i] = -INFINITY;
    copy[7] = 1;
    s = (struct sampling){ .temperature = 1.5, .top_k = 3, .top_p = 0.9 };
    is_int(token_choose(&s, copy, V, 1, scratch, &lp), 7, "what is forbidden is never drawn");
}

/* As transformers' _retrieve_compression_ratio; the library's version may move the last digits. */
static void test_credible(void)
{
    static const int32_t few[] = { 5, 6, 7 };
    int32_t loop[60], spread[136];
    for (size_t i = 0; i < 60; i++)
        loop[i] = 308;
    for (size_t i = 0; i < 136; i++)
        spread[i] = (int32_t)(37 * i);
    double a = compression_ratio(few, 3, 563), b = compression_ratio(loop, 60, 51865),
           c = compression_ratio(spread, 136, 300000);
    ok(fabs(a - 0.42857) <= 0.01 && fabs(b - 9.2308) <= 0.5 && fabs(c - 1.22156) <= 0.05,
       "compression of few, same and spread ids: %g %g %g", a, b, c);
    struct generate_row row = { .n = 3, .ended = true, .logprob = -2 };
    ok(fabs(mean_logprob(&row) + 0.5) <= 1e-12, "the end counts among an answer's tokens");
}

int main(void)
{
    for (size_t i = 0; i < V; i++)
        logits[i] = 4 * random_uniform(1, i) - 2;
    test_kinds();
    test_frequency();
    test_greedy();
    test_credible();
    return done();
}
