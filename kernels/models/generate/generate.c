/* kernels/models/generate/generate.c - the loop over a batch; the rules are in rules.c, the choice in sample.c */
#include "kernels/models/generate/generate.h"
#include "kernels/nn/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int generator_open(struct generator *g, struct tape *t, struct model *m, const struct rules *r, size_t rows, size_t tokens,
                   char why[WHY])
{
    *g = (struct generator){ .t = t, .m = m, .rules = *r, .rows = rows };
    size_t room = tokens && tokens < m->max_tokens ? tokens : m->max_tokens;
    if (cache_reserve(&g->cache, m, rows, rows, room, why))
        return -1;
    if (batch_reserve(&g->next, rows, rows * room, 0, 0, why)) {
        generator_close(g);
        return -1;
    }
    g->logits = malloc(rows * m->vocab * sizeof *g->logits);
    g->scratch = malloc(m->vocab * sizeof *g->scratch);
    if (!g->logits || !g->scratch) {
        snprintf(why, WHY, "out of memory");
        generator_close(g);
        return -1;
    }
    return 0;
}

void generator_close(struct generator *g)
{
    cache_release(&g->cache);
    batch_release(&g->next);
    free(g->logits);
    free(g->scratch);
    *g = (struct generator){ 0 };
}

void generator_clear(struct generator *g) { cache_clear(&g->cache); }

void generator_rewind(struct generator *g) { memset(g->cache.length, 0, g->rows * sizeof *g->cache.length); }

/* Feeds b; the cache takes its number of rows (and of clips) from it. */
static int feed(struct generator *g, const struct batch *b, char why[WHY])
{
    g->cache.rows = b->rows;
    if (!g->cache.encoded)
        g->cache.heard = b->rows;
    return model_decode(g->t, g->m, b, &g->cache, g->logits, why);
}

int generator_detect(struct generator *g, const struct batch *b, const int32_t *ids, size_t n, int32_t *best, char why[WHY])
{
    if (feed(g, b, why))
        return -1;
    for (size_t r = 0; r < b->rows; r++) {
        const float *logits = g->logits + r * g->m->vocab;
        best[r] = n ? ids[0] : -1;
        for (size_t i = 1; i < n; i++)
            if (logits[ids[i]] > logits[best[r]])
                best[r] = ids[i];
    }
    generator_rewind(g);
    return 0;
}

int generator_expect(struct generator *g, const struct batch *b, int32_t id, double *p, char why[WHY])
{
    if (feed(g, b, why))
        return -1;
    for (size_t r = 0; r < b->rows; r++) {
        const float *logits = g->logits + r * g->m->vocab;
        double sum = 0;
        for (size_t i = 0; i < g->m->vocab; i++)
            sum += exp((double)logits[i] - (double)logits[id]);
        p[r] = 1 / sum;
    }
    generator_rewind(g);
    return 0;
}

/* One more token of a row; false: it is complete. */
static bool row_step(struct generator *g, const struct batch *b, size_t r, struct generate_row *row, size_t max_new)
{
    float *logits = g->logits + r * g->m->vocab;
    size_t vocab = g->m->vocab;
    const int32_t *prompt = b->ids + b->start[r];
    size_t n_prompt = b->start[r + 1] - b->start[r];
    repetition_apply(&g->sampling, logits, vocab, prompt, n_prompt, row->token, row->n);
    history_apply(&g->rules, logits, vocab, prompt, n_prompt, row->token, row->n);
    rules_apply(&g->rules, logits, vocab, row->token, row->n, row->timestamps);
    uint64_t key = random_key(random_key(g->sampling.seed, row->key), row->n);
    int32_t token = token_choose(&g->sampling, logits, vocab, key, g->scratch, &row->logprob);
    if (rules_end(&g->rules, token)) {
        row->ended = true;
        row->end = token;
        return false;
    }
    row->token[row->n++] = token;
    if (g->each && !g->each(g->each_ctx, r, token))
        return false;
    return row->n < row->room && row->n < max_new && g->cache.length[r] + 1 < g->cache.room;
}

int generator_run(struct generator *g, const struct batch *b, struct generate_row *row, size_t max_new, char why[WHY])
{
    const struct batch *feeding = b;
    struct batch *next = &g->next;
    size_t going = 0;
    for (size_t r = 0; r < b->rows; r++) {
        row[r].n = 0;
        row[r].ended = false;
        row[r].logprob = 0;
        if (b->start[r + 1] - b->start[r] > g->cache.room || b->start[r + 1] == b->start[r]) {
            snprintf(why, WHY, "a prompt of %zu tokens; 1 to %zu are possible", b->start[r + 1] - b->start[r],
                     g->cache.room);
            return -1;
        }
        row[r].going = row[r].room > 0 && max_new > 0 && b->start[r + 1] - b->start[r] < g->cache.room;
        going += row[r].going;
    }
    while (going) {
        if (feed(g, feeding, why))
            return -1;
        going = 0;
        batch_clear(next);
        for (size_t r = 0; r < b->rows; r++) {
            if (row[r].going)
                row[r].going = row_step(g, b, r, row + r, max_new);
            size_t n = row[r].going ? 1 : 0;
            if (batch_add(next, n ? row[r].token + row[r].n - 1 : NULL, NULL, n, NULL, 0, 0, 0, 0, why))
                return -1;
            going += n;
        }
        feeding = next;
    }
    return 0;
}
