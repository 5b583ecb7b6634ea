/* tests/unit/generate_test.c - greedy decoding: ids, probabilities and detected languages as transformers' generate gives */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static json_t *rows;

static size_t ints(const json_t *list, int32_t *to)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++)
        to[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

/* Rows of decode.json that a batch answers: all with these weights and this mode. */
static void test_batch(struct generator *g, const char *weights, bool timestamps, const float *features, size_t at_once)
{
    struct batch b;
    char why[WHY] = "";
    const json_t *asked[3];
    size_t n = 0, i;
    json_t *row;
    if (batch_reserve(&b, 3, 30, 80, 300, why))
        ok(false, "%s", why);
    json_array_foreach(rows, i, row)
        if (!strcmp(json_string_value(json_object_get(row, "weights")), weights) &&
            json_is_true(json_object_get(row, "timestamps")) == timestamps)
            asked[n++] = row;
    for (size_t from = 0; from < n; from += at_once) {
        int32_t token[3][64], prompt[8], best[3], languages[] = { 402, 403, 404, 405 };
        static const int32_t begin = 401;
        struct generate_row out[3];
        size_t k = 0;
        batch_clear(&b);
        for (k = 0; k < at_once && from + k < n; k++) {
            size_t clip = (size_t)json_integer_value(json_object_get(asked[from + k], "clip"));
            batch_add(&b, &begin, NULL, 1, features + clip * 80 * 300, 80, 300, 0, 0, why);
            out[k] = (struct generate_row){ .timestamps = timestamps, .token = token[k], .room = 64 };
        }
        generator_clear(g);
        ok(generator_detect(g, &b, languages, 4, best, why) == 0, "languages are detected %s", why);
        for (size_t r = 0; r < k; r++)
            is_int(best[r], json_integer_value(json_object_get(asked[from + r], "detected_language")),
                   "as transformers does");
        batch_clear(&b);
        for (size_t r = 0; r < k; r++) {
            size_t clip = (size_t)json_integer_value(json_object_get(asked[from + r], "clip"));
            batch_add(&b, prompt, NULL, ints(json_object_get(asked[from + r], "prompt"), prompt),
                      features + clip * 80 * 300, 80, 300, 0, 0, why);
        }
        ok(generator_run(g, &b, out, 1000, why) == 0, "%zu rows of '%s', %s %s", k, weights,
           timestamps ? "with times" : "plain", why);
        for (size_t r = 0; r < k; r++) {
            int32_t want[64];
            size_t m = ints(json_object_get(asked[from + r], "tokens"), want);
            bool ended = json_is_true(json_object_get(asked[from + r], "ended"));
            double logprob = json_number_value(json_object_get(asked[from + r], "logprob_sum"));
            ok(out[r].ended == ended && out[r].n == m - ended && !memcmp(want, token[r], out[r].n * sizeof *want),
               "ids are the same: %zu, %s", out[r].n, ended ? "ended" : "cut");
            ok(fabs(out[r].logprob - logprob) <= 1e-4, "log probability %.6f (want %.6f)", out[r].logprob, logprob);
        }
    }
    batch_release(&b);
}

static void test_weights(const char *name, const float *features)
{
    struct whisper_decoder d;
    whisper_decoder_open(&d, &compute, name, 3);
    for (size_t at_once = 1; at_once <= 3; at_once++)
        for (int times = 0; times < 2; times++)
            test_batch(&d.g, name, times, features, at_once);
    whisper_decoder_close(&d);
}

/* A row in one go and token by token are the same function. */
static void test_cache(const float *features)
{
    struct model *m = golden_model(CASE "model");
    struct tape *t = tape_new(&compute);
    struct cache whole, steps;
    struct batch b;
    char why[WHY] = "";
    static const int32_t ids[] = { 401, 402, 407, 411, 283, 396, 13 };
    float *one = malloc(m->vocab * sizeof *one), *other = malloc(m->vocab * sizeof *other);
    t->poison = true;
    if (cache_reserve(&whole, m, 1, 1, 10, why) || cache_reserve(&steps, m, 1, 1, 10, why) ||
        batch_reserve(&b, 1, 10, 80, 300, why))
        ok(false, "%s", why);
    batch_add(&b, ids, NULL, 7, features, 80, 300, 0, 0, why);
    ok(model_decode(t, m, &b, &whole, one, why) == 0, "seven tokens at once %s", why);
    for (size_t i = 0; i < 7; i++) {
        batch_clear(&b);
        batch_add(&b, ids + i, NULL, 1, features, 80, 300, 0, 0, why);
        if (model_decode(t, m, &b, &steps, other, why))
            ok(false, "step %zu: %s", i, why);
    }
    is_close(other, one, m->vocab, 2e-6, "one by one give the same logits");
    batch_clear(&b);
    batch_add(&b, ids, NULL, 4, features, 80, 300, 0, 0, why);
    ok(model_decode(t, m, &b, &whole, one, why) == -1, "a full cache refuses: %s", why);
    free(one);
    free(other);
    batch_release(&b);
    cache_release(&whole);
    cache_release(&steps);
    tape_free(t);
    model_free(m);
}

static void test_rules(void)
{
    struct rules r;
    char why[WHY] = "";
    static const char *const bad[] = { "{", "{\"suppress_tokens\": 3}", "{\"suppress_tokens\": [99]}",
                                       "{\"eos_token_id\": \"x\"}" };
    for (size_t i = 0; i < 4; i++)
        ok(rules_read(&r, bad[i], strlen(bad[i]), 50, why) == -1, "refused: %s", why);
    const char *good = "{\"eos_token_id\": [1, 3], \"suppress_tokens\": [-1, 4], \"no_timestamps_token_id\": 10}";
    ok(rules_read(&r, good, strlen(good), 50, why) == 0 && r.n_end == 2 && r.n_suppress == 1 && r.timestamp == 11,
       "read: %s", why);
    rules_release(&r);
}

int main(void)
{
    struct safetensors st;
    golden_compute(&compute, 2);
    golden_open(&st, CASE "inputs.safetensors");
    rows = golden_json(CASE "decode.json");
    float *features = golden_f32(&st, "input_features", NULL);
    test_weights("model", features);
    test_weights("trained", features);
    test_cache(features);
    test_rules();
    free(features);
    json_decref(rows);
    safetensors_close(&st);
    team_free(compute.team);
    return done();
}
