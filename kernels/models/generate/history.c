/* kernels/models/generate/history.c - which tokens may not come because of those before them
 *
 * Runs that would occur twice, words that the configuration forbids, an end that is too
 * early; the tokens before are the prompt's and the answer's.  As transformers has it
 * (generation/logits_process.py), where these come behind the repetition penalty. */
#include "kernels/models/arch.h"
#include "kernels/models/generate/generate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct past {                   /* two lists as one */
    const int32_t *prompt, *done;
    size_t n_prompt, n;         /* n: of both */
};

static int32_t past_at(const struct past *p, size_t i)
{
    return i < p->n_prompt ? p->prompt[i] : p->done[i - p->n_prompt];
}

/* --- what generation_config.json says ------------------------------------------------- */
enum { LONGEST = 1 << 30 };

static int early_read(struct rules *r, const json_t *v, char why[WHY])
{
    const char *word = json_string_value(v);
    if (json_is_true(v))
        r->early = EARLY_FULL;
    else if (word && !strcmp(word, "never"))
        r->early = EARLY_NEVER;
    else if (v && !json_is_null(v) && !json_is_false(v)) {
        snprintf(why, WHY, "'early_stopping' must be true, false or \"never\"");
        return -1;
    }
    return 0;
}

/* Lists of ids become one: the length of each before it.  A list that is an end alone is passed by. */
static int words_read(struct rules *r, const json_t *v, size_t vocab, char why[WHY])
{
    size_t room = 0, i, k;
    const json_t *word, *id;
    if (!v || json_is_null(v))
        return 0;
    json_array_foreach(v, i, word)
        room += 1 + json_array_size(word);
    r->words = malloc((room + 1) * sizeof *r->words);
    bool bad = !json_is_array(v) || !r->words;
    json_array_foreach(v, i, word) {
        size_t n = json_array_size(word);
        bad |= !n;
        if (bad)
            break;
        r->words[r->n_words++] = (int32_t)n;
        json_array_foreach(word, k, id) {
            json_int_t x = json_integer_value(id);
            bad |= !json_is_integer(id) || x < 0 || (size_t)x >= vocab;
            r->words[r->n_words++] = (int32_t)x;
        }
        if (n == 1 && !bad && rules_end(r, r->words[r->n_words - 1]))
            r->n_words -= 2;
    }
    if (bad)
        snprintf(why, WHY, "'bad_words_ids' must be lists of ids from 0 to %zu", vocab - 1);
    return bad ? -1 : 0;
}

int history_read(struct rules *r, const json_t *c, size_t vocab, char why[WHY])
{
    return config_size(c, "no_repeat_ngram_size", 0, LONGEST, &r->no_repeat, why) ||
           config_size(c, "min_length", 0, LONGEST, &r->min_length, why) ||
           config_size(c, "min_new_tokens", 0, LONGEST, &r->min_new, why) ||
           early_read(r, json_object_get(c, "early_stopping"), why) ||
           words_read(r, json_object_get(c, "bad_words_ids"), vocab, why) ? -1 : 0;
}

/* --- which it forbids ------------------------------------------------------------------ */
/* Do the n tokens from `at` on equal the last n? */
static bool repeats(const struct past *p, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (past_at(p, at + i) != past_at(p, p->n - n + i))
            return false;
    return true;
}

/* What followed the last n - 1 tokens where they stood before. */
static void runs_forbid(const struct past *p, size_t n, float *logits, size_t vocab)
{
    for (size_t i = 0; i + n <= p->n; i++)
        if (repeats(p, i, n - 1)) {
            int32_t id = past_at(p, i + n - 1);
            if (id >= 0 && (size_t)id < vocab)
                logits[id] = -INFINITY;
        }
}

static void words_forbid(const struct rules *r, const struct past *p, float *logits)
{
    for (size_t at = 0; at < r->n_words; at += 1 + (size_t)r->words[at]) {
        const int32_t *id = r->words + at + 1;
        size_t before = (size_t)r->words[at] - 1, i = 0;
        if (before > p->n)
            continue;
        while (i < before && past_at(p, p->n - before + i) == id[i])
            i++;
        if (i == before)
            logits[id[before]] = -INFINITY;
    }
}

void history_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *prompt, size_t n_prompt,
                   const int32_t *done, size_t n)
{
    const struct past p = { prompt, done, n_prompt, n_prompt + n };
    if (r->no_repeat)
        runs_forbid(&p, r->no_repeat, logits, vocab);
    words_forbid(r, &p, logits);
    /* min_new_tokens takes the place of min_length */
    if (r->min_new ? n < r->min_new : p.n < r->min_length)
        for (size_t i = 0; i < r->n_end; i++)
            logits[r->end[i]] = -INFINITY;
}
