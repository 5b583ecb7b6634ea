/* tests/unit/gemma3_generate_test.c - Gemma 3's greedy answers are transformers': together, alone, cache reused */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/models/generate/generate.h"
#include "tests/unit/golden.h"

static struct compute compute;

enum { ROWS = 2, ROOM = 64 };

struct golden_rows {
    int32_t prompt[ROWS][ROOM], answer[ROWS][ROOM];
    size_t prompts[ROWS], answers[ROWS];
};

static size_t ids_read(const struct safetensors *st, const char *what, size_t r, int32_t *to)
{
    char name[40];
    size_t n;
    snprintf(name, sizeof name, "%s.%zu", what, r);
    int64_t *ids = golden_ints(st, name, &n);
    for (size_t i = 0; i < n && i < ROOM; i++)
        to[i] = (int32_t)ids[i];
    free(ids);
    return n < ROOM ? n : ROOM;
}

static void check(const struct generate_row *row, const struct golden_rows *g, size_t r, const char *how)
{
    bool ended = g->answers[r] && g->answer[r][g->answers[r] - 1] == 1;
    size_t n = g->answers[r] - ended;
    ok(row->n == n && row->ended == ended && !memcmp(row->token, g->answer[r], n * sizeof *row->token),
       "%s: row %zu, %zu tokens%s", how, r, row->n, row->ended ? " and the end" : "");
}

static bool three(void *ctx, size_t row, int32_t token)
{
    (void)row;
    (void)token;
    size_t *left = ctx;
    return --*left > 0;
}

static void test_case(const char *dir)
{
    char path[200], why[WHY] = "";
    struct safetensors st;
    struct golden_rows g;
    struct generator gen;
    struct batch b;
    int32_t token[ROWS][ROOM];
    struct generate_row row[ROWS];
    struct rules rules = { .no_timestamps = -1, .timestamp = -1, .max_initial = -1, .end = { 1 }, .n_end = 1 };
    snprintf(path, sizeof path, "tests/golden/%s/model", dir);
    struct model *m = golden_model(path);
    snprintf(path, sizeof path, "tests/golden/%s/generate.safetensors", dir);
    golden_open(&st, path);
    struct tape *t = tape_new(&compute);
    ok(generator_open(&gen, t, m, &rules, ROWS, ROOM, why) == 0 && batch_reserve(&b, ROWS, ROWS * ROOM, 0, 0, why) == 0,
       "%s: a generator %s", dir, why);
    for (size_t r = 0; r < ROWS; r++) {
        g.prompts[r] = ids_read(&st, "prompt", r, g.prompt[r]);
        g.answers[r] = ids_read(&st, "output", r, g.answer[r]);
        row[r] = (struct generate_row){ .token = token[r], .room = ROOM };
        batch_add(&b, g.prompt[r], NULL, g.prompts[r], NULL, 0, 0, 0, 0, why);
    }
    ok(generator_run(&gen, &b, row, g.answers[0], why) == 0, "two prompts of different length %s", why);
    for (size_t r = 0; r < ROWS; r++)
        check(row + r, &g, r, "beside each other");
    for (size_t r = 0; r < ROWS; r++) {
        batch_clear(&b);
        batch_add(&b, g.prompt[r], NULL, g.prompts[r], NULL, 0, 0, 0, 0, why);
        generator_clear(&gen);
        ok(generator_run(&gen, &b, row, g.answers[r], why) == 0, "one prompt %s", why);
        check(row, &g, r, "alone");
    }

    /* A prompt in two parts, the second behind what the cache holds; an answer that is stopped, and gone on with. */
    size_t left = 3;
    generator_clear(&gen);
    gen.each = three;
    gen.each_ctx = &left;
    batch_clear(&b);
    batch_add(&b, g.prompt[1], NULL, 3, NULL, 0, 0, 0, 0, why);
    ok(generator_run(&gen, &b, row, 1, why) == 0, "the beginning of a prompt %s", why);
    gen.cache.length[0] = 3;
    left = 3;
    batch_clear(&b);
    batch_add(&b, g.prompt[1] + 3, NULL, g.prompts[1] - 3, NULL, 0, 0, 0, 0, why);
    ok(generator_run(&gen, &b, row, g.answers[1], why) == 0, "and its rest %s", why);
    ok(row->n == 3 && !row->ended && !memcmp(row->token, g.answer[1], 3 * sizeof *row->token),
       "stopped after %zu tokens of the same", row->n);
    gen.each = NULL;
    batch_clear(&b);
    batch_add(&b, g.answer[1] + 2, NULL, 1, NULL, 0, 0, 0, 0, why);
    size_t more = g.answers[1] - 3;
    int status = generator_run(&gen, &b, row, more, why);
    ok(status == 0 && row->n == more && !memcmp(row->token, g.answer[1] + 3, more * sizeof *row->token),
       "gone on with: %zu more of %zu %s", row->n, more, why);
    generator_close(&gen);
    batch_release(&b);
    tape_free(t);
    safetensors_close(&st);
    model_free(m);
}

int main(void)
{
    golden_compute(&compute, 2);
    test_case("gemma3-micro");
    test_case("gemma3-variant");
    team_free(compute.team);
    return done();
}
