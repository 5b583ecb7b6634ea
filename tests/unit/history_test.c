/* tests/unit/history_test.c - settings that look at what came before: answers are transformers' */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/models/generate/generate.h"
#include "tests/unit/golden.h"

enum { ROOM = 64, BEAMS = 4 };

static struct compute compute;

static size_t ids_read(const json_t *list, int32_t *to)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < ROOM; i++)
        to[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n < ROOM ? n : ROOM;
}

static void test_row(struct model *m, struct tape *t, const json_t *row)
{
    char why[WHY] = "", *config = json_dumps(json_object_get(row, "config"), 0);
    size_t beams = (size_t)json_integer_value(json_object_get(row, "num_beams"));
    size_t most = (size_t)json_integer_value(json_object_get(row, "max_new_tokens"));
    int32_t prompt[ROOM], want[ROOM], got[ROOM];
    size_t prompts = ids_read(json_object_get(row, "prompt"), prompt), n = ids_read(json_object_get(row, "tokens"), want);
    struct generate_row answer = { .token = got, .room = ROOM - 1 };
    struct rules rules;
    struct generator g = { 0 };
    struct batch b = { 0 };
    int status = rules_read(&rules, config, strlen(config), m->vocab, why);
    status = status || generator_open(&g, t, m, &rules, BEAMS, ROOM, why) || batch_reserve(&b, 1, ROOM, 0, 0, why) ||
             batch_add(&b, prompt, NULL, prompts, NULL, 0, 0, 0, 0, why);
    if (!status)
        status = beams == 1 ? generator_run(&g, &b, &answer, most, why)
                            : generator_beams(&g, &b, &answer, most, beams,
                                              json_number_value(json_object_get(row, "length_penalty")), why);
    if (answer.ended)
        got[answer.n++] = answer.end;
    ok(!status && answer.n == n && !memcmp(got, want, n * sizeof *got), "%zu beams, %zu tokens: %s %s", beams, n,
       config, why);
    rules_release(&rules);
    generator_close(&g);
    batch_release(&b);
    free(config);
}

static void test_refused(void)
{
    static const char *const bad[] = { "{\"bad_words_ids\": [3]}", "{\"bad_words_ids\": [[]]}",
                                       "{\"bad_words_ids\": [[50]]}", "{\"min_length\": -1}",
                                       "{\"no_repeat_ngram_size\": 1.5}", "{\"early_stopping\": \"soon\"}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rules r;
        char why[WHY] = "";
        ok(rules_read(&r, bad[i], strlen(bad[i]), 50, why) == -1, "refused: %s", why);
    }
}

int main(void)
{
    golden_compute(&compute, 2);
    struct model *m = golden_model("tests/golden/gemma3-micro/model");
    struct tape *t = tape_new(&compute);
    json_t *rows = golden_json("tests/golden/gemma3-micro/rules.json");
    for (size_t i = 0; i < json_array_size(rows); i++)
        test_row(m, t, json_array_get(rows, i));
    test_refused();
    json_decref(rows);
    tape_free(t);
    model_free(m);
    team_free(compute.team);
    return done();
}
