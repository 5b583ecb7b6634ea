/* kernels/models/generate/beam.c - beam search, as transformers does it (generation/utils.py, release 5)
 *
 * A clip has B beams that go on and B answers that are complete.  A step scores all
 * continuations of all beams by the sum of log p, takes the best max(2, 1 + ends) B of
 * them, completes those of the first B that end (their score divided by length^penalty),
 * and goes on with the best B that do not.  It stops when the best going score,
 * divided by its length so far, cannot beat the worst of B complete answers, or as
 * early_stopping says. */
#include "kernels/models/generate/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double NEVER = -1e9;

struct beam {
    int32_t *token;
    size_t n;
    double score;               /* going: sum of log p; complete: that, divided */
    double logprob;             /* sum of log p after the rules, which forbid but do not scale `score` anew */
    bool ended;                 /* complete: by an end token, this one */
    int32_t end;
    bool complete;
};

struct candidate { double score, logprob; size_t beam; int32_t token; bool stops; };

struct clip {
    struct beam *going, *next, *done;   /* [beams] each */
    const int32_t *prompt;
    size_t n_prompt;
    bool over;
};

struct search {
    struct generator *g;
    size_t beams, keep, room;           /* keep: candidates of a step */
    double penalty;
    struct clip *clip;
    struct candidate *best;
    size_t *from;                       /* [rows * beams] */
    struct beam *beam;
    int32_t *tokens;
    float *logp;
};

static void search_release(struct search *s)
{
    free(s->clip);
    free(s->best);
    free(s->from);
    free(s->beam);
    free(s->tokens);
    free(s->logp);
}

static int search_make(struct search *s, size_t rows, size_t vocab)
{
    size_t n = 3 * rows * s->beams;
    s->clip = calloc(rows, sizeof *s->clip);
    s->best = calloc(s->keep, sizeof *s->best);
    s->from = calloc(rows * s->beams, sizeof *s->from);
    s->beam = calloc(n, sizeof *s->beam);
    s->tokens = calloc(n * s->room + 1, sizeof *s->tokens);
    s->logp = malloc(vocab * sizeof *s->logp);
    if (!s->clip || !s->best || !s->from || !s->beam || !s->tokens || !s->logp)
        return -1;
    for (size_t i = 0; i < n; i++)
        s->beam[i] = (struct beam){ .token = s->tokens + i * s->room, .score = NEVER };
    for (size_t r = 0; r < rows; r++) {
        struct beam *b = s->beam + 3 * r * s->beams;
        s->clip[r] = (struct clip){ .going = b, .next = b + s->beams, .done = b + 2 * s->beams };
        b->score = 0;                       /* the others come from its first step */
    }
    return 0;
}

static double log_sum_exp(const float *x, size_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    if (max == -INFINITY)
        return (double)max;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)max);
    return (double)max + log(sum);
}

static void log_softmax(float *to, const float *logits, size_t n)
{
    double lse = log_sum_exp(logits, n);
    for (size_t i = 0; i < n; i++)
        to[i] = (float)((double)logits[i] - lse);
}

/* Keeps list sorted, best first, with the earlier of equals first. */
static void candidate_add(struct candidate *list, size_t *n, size_t keep, struct candidate c)
{
    if (*n == keep && !(c.score > list[keep - 1].score))
        return;
    size_t i = *n < keep ? (*n)++ : keep - 1;
    for (; i > 0 && c.score > list[i - 1].score; i--)
        list[i] = list[i - 1];
    list[i] = c;
}

/* The best continuations of a clip's beams; how many. */
static size_t candidates(struct search *s, const struct clip *c, const float *logits, bool timestamps, bool last)
{
    size_t vocab = s->g->m->vocab, n = 0;
    for (size_t b = 0; b < s->beams; b++) {
        log_softmax(s->logp, logits + b * vocab, vocab);
        const struct beam *at = c->going + b;
        repetition_apply(&s->g->sampling, s->logp, vocab, c->prompt, c->n_prompt, at->token, at->n);
        history_apply(&s->g->rules, s->logp, vocab, c->prompt, c->n_prompt, at->token, at->n);
        rules_apply(&s->g->rules, s->logp, vocab, at->token, at->n, timestamps);
        double left = log_sum_exp(s->logp, vocab);
        for (size_t v = 0; v < vocab; v++) {
            struct candidate x = { (double)s->logp[v] + at->score,
                                   (double)s->logp[v] - left + at->logprob, b, (int32_t)v, false };
            if (n == s->keep && !(x.score > s->best[n - 1].score))
                continue;
            x.stops = last || rules_end(&s->g->rules, (int32_t)v);
            candidate_add(s->best, &n, s->keep, x);
        }
    }
    return n;
}

/* A complete answer takes the place of the worst, if it is better. */
static void answer_put(struct search *s, struct clip *c, const struct candidate *x)
{
    const struct beam *b = c->going + x->beam;
    double score = x->score / pow((double)(b->n + 1), s->penalty);
    struct beam *worst = c->done;
    for (size_t i = 1; i < s->beams; i++)
        if (c->done[i].score <= worst->score)
            worst = c->done + i;
    if (!(score > worst->score))
        return;
    memcpy(worst->token, b->token, b->n * sizeof *b->token);
    worst->ended = rules_end(&s->g->rules, x->token);
    worst->n = b->n;
    worst->end = x->token;
    if (!worst->ended)
        worst->token[worst->n++] = x->token;
    worst->score = score;
    worst->logprob = x->logprob;
    worst->complete = true;
}

/* Can no going beam become one of the best any more?  most: tokens of an answer. */
static bool clip_over(const struct search *s, const struct clip *c, size_t most)
{
    double worst = INFINITY;
    bool full = true;
    for (size_t i = 0; i < s->beams; i++) {
        full &= c->done[i].complete;
        worst = fmin(worst, c->done[i].complete ? c->done[i].score : NEVER);
    }
    if (s->g->rules.early == EARLY_FULL && full)
        return true;
    size_t n = s->g->rules.early == EARLY_NEVER && s->penalty > 0 ? most : c->going[0].n;
    return !(c->going[0].score / pow((double)n, s->penalty) > worst);
}

/* One step of a clip; most: tokens of an answer; from[0, beams): which beam each going one continues. */
static void clip_step(struct search *s, struct clip *c, const float *logits, bool timestamps, size_t most, size_t *from)
{
    size_t n = candidates(s, c, logits, timestamps, c->going[0].n + 1 >= most), k = 0;
    for (size_t i = 0; i < n && i < s->beams; i++)
        if (s->best[i].stops)
            answer_put(s, c, s->best + i);
    for (size_t i = 0; i < n && k < s->beams; i++) {
        const struct candidate *x = s->best + i;
        if (x->stops)
            continue;
        const struct beam *b = c->going + x->beam;
        struct beam *to = c->next + k;
        memcpy(to->token, b->token, b->n * sizeof *b->token);
        to->n = b->n;
        to->token[to->n++] = x->token;
        to->score = x->score;
        to->logprob = x->logprob;
        from[k++] = x->beam;
    }
    if (!k) {
        c->over = true;
        return;
    }
    for (size_t i = k; i < s->beams; i++) {             /* fewer than beams are left */
        c->next[i].n = c->next[0].n;
        memcpy(c->next[i].token, c->next[0].token, c->next[0].n * sizeof(int32_t));
        c->next[i].score = NEVER;
        from[i] = from[0];
    }
    struct beam *swap = c->going;
    c->going = c->next;
    c->next = swap;
    c->over = clip_over(s, c, most);
}

static void answer_take(const struct search *s, const struct clip *c, struct generate_row *row)
{
    const struct beam *best = c->done;
    for (size_t i = 1; i < s->beams; i++)
        if (c->done[i].score > best->score)
            best = c->done + i;
    row->n = best->n < row->room ? best->n : row->room;
    memcpy(row->token, best->token, row->n * sizeof *row->token);
    row->ended = best->ended;
    row->end = best->end;
    row->logprob = best->logprob;
    row->score = best->score;
}

/* The next tokens of all clips that go on, and the cache in their order; how many tokens. */
static int next_make(struct search *s, size_t rows, size_t *tokens, char why[WHY])
{
    struct generator *g = s->g;
    *tokens = 0;
    if (cache_reorder(&g->cache, s->from)) {
        snprintf(why, WHY, "out of memory");
        return -1;
    }
    batch_clear(&g->next);
    for (size_t i = 0; i < rows * s->beams; i++) {
        const struct clip *c = s->clip + i / s->beams;
        const struct beam *b = c->going + i % s->beams;
        size_t n = c->over ? 0 : 1;
        if (batch_add(&g->next, n ? b->token + b->n - 1 : NULL, NULL, n, NULL, 0, 0, 0, 0, why))
            return -1;
        *tokens += n;
    }
    return 0;
}

static int search_run(struct search *s, const struct batch *b, const struct generate_row *row, size_t max_new, char why[WHY])
{
    struct generator *g = s->g;
    size_t vocab = g->m->vocab, tokens = 1;
    g->cache.rows = b->rows;
    if (!g->cache.encoded)
        g->cache.heard = b->rows;
    if (model_decode(g->t, g->m, b, &g->cache, g->logits, why))
        return -1;
    cache_expand(&g->cache, s->beams);
    for (size_t i = b->rows * s->beams; i-- > 0;)
        if (i / s->beams != i)
            memcpy(g->logits + i * vocab, g->logits + i / s->beams * vocab, vocab * sizeof *g->logits);
    while (tokens) {
        for (size_t r = 0; r < b->rows; r++) {
            struct clip *c = s->clip + r;
            size_t *from = s->from + r * s->beams, most = g->cache.room - (b->start[r + 1] - b->start[r]);
            most = row[r].room < most ? row[r].room : most;
            for (size_t i = 0; i < s->beams; i++)
                from[i] = i;
            if (!c->over)
                clip_step(s, c, g->logits + r * s->beams * vocab, row[r].timestamps, max_new < most ? max_new : most, from);
            for (size_t i = 0; i < s->beams; i++)
                from[i] += r * s->beams;
        }
        if (next_make(s, b->rows, &tokens, why) || (tokens && model_decode(g->t, g->m, &g->next, &g->cache, g->logits, why)))
            return -1;
    }
    return 0;
}

int generator_beams(struct generator *g, const struct batch *b, struct generate_row *row, size_t max_new, size_t beams,
                    double length_penalty, char why[WHY])
{
    struct search s = { .g = g, .beams = beams, .room = g->cache.room, .penalty = length_penalty };
    s.keep = (1 + g->rules.n_end > 2 ? 1 + g->rules.n_end : 2) * beams;
    if (b->rows * beams > g->rows) {
        snprintf(why, WHY, "%zu beams of %zu rows; there is room for %zu", beams, b->rows, g->rows);
        return -1;
    }
    for (size_t r = 0; r < b->rows; r++)
        if (b->start[r + 1] - b->start[r] >= g->cache.room || b->start[r + 1] == b->start[r]) {
            snprintf(why, WHY, "a prompt of %zu tokens; 1 to %zu are possible", b->start[r + 1] - b->start[r],
                     g->cache.room - 1);
            return -1;
        }
    int status = search_make(&s, b->rows, g->m->vocab);
    for (size_t r = 0; !status && r < b->rows; r++) {
        s.clip[r].prompt = b->ids + b->start[r];
        s.clip[r].n_prompt = b->start[r + 1] - b->start[r];
    }
    if (status)
        snprintf(why, WHY, "out of memory");
    else
        status = search_run(&s, b, row, max_new, why);
    for (size_t r = 0; !status && r < b->rows; r++)
        answer_take(&s, s.clip + r, row + r);
    search_release(&s);
    return status;
}
