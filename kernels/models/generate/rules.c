/* kernels/models/generate/rules.c - which tokens may come next: lists of the generation config, Whisper's rules for times
 *
 * Times come in pairs but for the last, never go back, and the first token is one.
 * If all times together are likelier than any other token, a time it is. */
#include "kernels/models/generate/generate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ids_read(const json_t *v, const char *key, size_t vocab, int32_t **to, size_t *n, char why[WHY])
{
    size_t count = json_array_size(v);
    *n = 0;
    *to = NULL;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_array(v) || !(*to = malloc((count + 1) * sizeof **to))) {
        snprintf(why, WHY, "'%s' must be a list of ids", key);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        json_int_t id = json_integer_value(json_array_get(v, i));
        if (!json_is_integer(json_array_get(v, i)) || (id != -1 && (id < 0 || (size_t)id >= vocab))) {
            snprintf(why, WHY, "'%s' has an id that is none of 0 to %zu", key, vocab - 1);
            return -1;
        }
        if (id >= 0)
            (*to)[(*n)++] = (int32_t)id;
    }
    return 0;
}

static int end_read(struct rules *r, const json_t *v, size_t vocab, char why[WHY])
{
    size_t n = json_is_array(v) ? json_array_size(v) : v && !json_is_null(v) ? 1 : 0;
    if (n > sizeof r->end / sizeof *r->end) {
        snprintf(why, WHY, "'eos_token_id' has more than %zu ids", sizeof r->end / sizeof *r->end);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        json_int_t id = json_integer_value(x);
        if (!json_is_integer(x) || id < 0 || (size_t)id >= vocab) {
            snprintf(why, WHY, "'eos_token_id' is none of 0 to %zu", vocab - 1);
            return -1;
        }
        r->end[r->n_end++] = (int32_t)id;
    }
    return 0;
}

static int32_t id_of(const json_t *c, const char *key, size_t vocab)
{
    const json_t *v = json_object_get(c, key);
    json_int_t id = json_integer_value(v);
    return json_is_integer(v) && id >= 0 && (size_t)id < vocab ? (int32_t)id : -1;
}

int rules_read(struct rules *r, const char *json, size_t size, size_t vocab, char why[WHY])
{
    json_error_t e;
    json_t *c = json_loadb(json, size, 0, &e);
    *r = (struct rules){ .no_timestamps = -1, .timestamp = -1, .max_initial = -1 };
    if (!c) {
        snprintf(why, WHY, "line %d: %.150s", e.line, e.text);
        return -1;
    }
    int status = ids_read(json_object_get(c, "suppress_tokens"), "suppress_tokens", vocab, &r->suppress, &r->n_suppress,
                          why) ||
                 ids_read(json_object_get(c, "begin_suppress_tokens"), "begin_suppress_tokens", vocab, &r->begin_suppress,
                          &r->n_begin, why) ||
                 end_read(r, json_object_get(c, "eos_token_id"), vocab, why) || history_read(r, c, vocab, why) ? -1 : 0;
    r->no_timestamps = id_of(c, "no_timestamps_token_id", vocab);
    if (r->no_timestamps >= 0)
        r->timestamp = r->no_timestamps + 1;
    r->max_initial = id_of(c, "max_initial_timestamp_index", vocab);
    json_decref(c);
    if (status)
        rules_release(r);
    return status;
}

void rules_release(struct rules *r)
{
    free(r->suppress);
    free(r->begin_suppress);
    free(r->words);
    *r = (struct rules){ .no_timestamps = -1, .timestamp = -1, .max_initial = -1 };
}

bool rules_end(const struct rules *r, int32_t token)
{
    for (size_t i = 0; i < r->n_end; i++)
        if (r->end[i] == token)
            return true;
    return false;
}

static void forbid(float *logits, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        logits[i] = -INFINITY;
}

/* Is the mass of all times more than the best other token's? */
static bool times_win(const float *logits, size_t vocab, size_t first)
{
    float best = -INFINITY, top = -INFINITY;
    for (size_t i = 0; i < first; i++)
        best = logits[i] > best ? logits[i] : best;
    for (size_t i = first; i < vocab; i++)
        top = logits[i] > top ? logits[i] : top;
    if (top == -INFINITY)
        return false;
    double sum = 0;
    for (size_t i = first; i < vocab; i++)
        sum += exp((double)logits[i] - (double)top);
    return (double)top + log(sum) > (double)best;
}

static void times_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *done, size_t n)
{
    size_t first = (size_t)r->timestamp, last = 0;
    logits[r->no_timestamps] = -INFINITY;
    bool was_time = n >= 1 && done[n - 1] >= r->timestamp, before_too = n < 2 || done[n - 2] >= r->timestamp;
    if (was_time && before_too)
        forbid(logits, first, vocab);                       /* a pair is complete: text, or the end */
    else if (was_time && r->n_end)
        forbid(logits, 0, (size_t)r->end[0]);               /* a pair is open: a time, or the end */
    for (size_t i = 0; i < n; i++)
        if (done[i] >= r->timestamp)
            last = (size_t)done[i];
    if (last)
        forbid(logits, first, was_time && !before_too ? last : last + 1 < vocab ? last + 1 : vocab);
    if (!n) {
        forbid(logits, 0, first);
        if (r->max_initial >= 0 && first + (size_t)r->max_initial + 1 < vocab)
            forbid(logits, first + (size_t)r->max_initial + 1, vocab);
    }
    if (times_win(logits, vocab, first))
        forbid(logits, 0, first);
}

void rules_apply(const struct rules *r, float *logits, size_t vocab, const int32_t *done, size_t n, bool timestamps)
{
    for (size_t i = 0; !n && i < r->n_begin; i++)
        logits[r->begin_suppress[i]] = -INFINITY;
    for (size_t i = 0; i < r->n_suppress; i++)
        logits[r->suppress[i]] = -INFINITY;
    if (timestamps && r->timestamp > 0)
        times_apply(r, logits, vocab, done, n);
}
