/* tests/unit/beam_test.c - beam search gives the ids and scores of transformers (tests/golden/whisper-beams) */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "tests/unit/whisper_case.h"

#define CASE WHISPER_CASE

static struct compute compute;
static const json_t *rows;

static size_t ints(const json_t *list, int32_t *to)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        to[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return json_array_size(list);
}

static int64_t whole(const json_t *row, const char *key) { return json_integer_value(json_object_get(row, key)); }
static double real(const json_t *row, const char *key) { return json_number_value(json_object_get(row, key)); }

/* The rows of one setting, up to three at once. */
static void test_setting(struct generator *g, const char *weights, bool timestamps, size_t beams, double penalty,
                         const float *features)
{
    const json_t *asked[3];
    json_t *row;
    size_t n = 0, i;
    struct batch b;
    char why[WHY] = "";
    struct generate_row out[3];
    int32_t token[3][64], prompt[8];
    batch_reserve(&b, 3, 30, 80, 300, why);
    json_array_foreach(rows, i, row)
        if (!strcmp(json_string_value(json_object_get(row, "weights")), weights) && whole(row, "beams") == (int64_t)beams &&
            fabs(real(row, "length_penalty") - penalty) < 1e-9 &&
                json_is_true(json_object_get(row, "timestamps")) == timestamps)
            asked[n++] = row;
    for (i = 0; i < n; i++) {
        size_t k = ints(json_object_get(asked[i], "prompt"), prompt);
        batch_add(&b, prompt, NULL, k, features + whole(asked[i], "clip") * 80 * 300, 80, 300, 0, 0, why);
        out[i] = (struct generate_row){ .timestamps = timestamps, .token = token[i], .room = 64 };
    }
    generator_clear(g);
    ok(generator_beams(g, &b, out, 1000, beams, penalty, why) == 0, "%zu rows of '%s' with %zu beams, penalty %g %s", n,
       weights, beams, penalty, why);
    for (i = 0; i < n; i++) {
        int32_t want[64];
        size_t m = ints(json_object_get(asked[i], "tokens"), want);
        bool ended = want[m - 1] == 400;
        double score = out[i].score;
        ok(out[i].ended == ended && out[i].n == m - ended && !memcmp(want, token[i], out[i].n * sizeof *want),
           "ids are the same: %zu, %s", out[i].n, ended ? "ended" : "cut");
        ok(fabs(score - real(asked[i], "score")) <= 1e-4, "score %.6f (want %.6f)", score, real(asked[i], "score"));
    }
    batch_release(&b);
}

static void test_weights(const char *name, const float *features)
{
    static const struct { size_t beams; double penalty; } ways[] = { { 2, 1 }, { 5, 1 }, { 3, 0 }, { 4, 2 } };
    struct whisper_decoder d;
    whisper_decoder_open(&d, &compute, name, 15);
    for (size_t i = 0; i < 4; i++)
        for (int times = 0; times < 2; times++)
            test_setting(&d.g, name, times, ways[i].beams, ways[i].penalty, features);
    whisper_decoder_close(&d);
}

int main(void)
{
    struct safetensors st;
    golden_compute(&compute, 2);
    golden_open(&st, CASE "inputs.safetensors");
    json_t *all = golden_json("tests/golden/whisper-beams/beams.json");
    rows = all;
    float *features = golden_f32(&st, "input_features", NULL);
    test_weights("model", features);
    test_weights("trained", features);
    free(features);
    json_decref(all);
    safetensors_close(&st);
    team_free(compute.team);
    return done();
}
