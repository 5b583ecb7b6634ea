/* cmd/generate/text.c - rows of tokens: the prompt is all that precedes what was last to be learnt */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"

/* A list of ids, or of labels; *a is empty if it is absent. */
static int list_read(const struct sample *s, const char *key, struct array *a, struct error *e)
{
    int got = sample_array(s, key, a, e);
    if (got < 0)
        return -1;
    if (!got)
        *a = (struct array){ .rank = 1 };
    if (a->rank != 1)
        return error_set(e, STATUS_BAD, "'%s' is no list", key);
    return got;
}

static bool learnt(const struct array *labels, size_t i)
{
    return array_at(labels, i) != -100;
}

/* [*begin, *end): the last tokens in a row that were to be learnt; both n: none were.  The first
 * token is never: nothing precedes it. */
static void last_span(const struct array *labels, size_t n, size_t *begin, size_t *end)
{
    bool any = false;
    *begin = *end = n;
    for (size_t i = n; i > 1; i--) {
        bool is = labels->data.data && learnt(labels, i - 1);
        if (is && !any)
            *end = i;
        if (!is && any)
            return;
        any |= is;
        if (is)
            *begin = i - 1;
    }
}

/* What was to be said, without the end and what follows it. */
static int reference_read(const struct job *j, const int32_t *ids, size_t n, struct row *r, struct error *e)
{
    char why[WHY];
    size_t said = 0;
    while (said < n && !rules_end(&j->generation.rules, ids[said]))
        said++;
    if (decode(j->tokenizer, ids, said, true, &r->reference, why))
        return error_memory(e);
    r->referenced = true;
    return 0;
}

int text_row_add(struct job *j, const struct sample *s, struct row *r, struct error *e)
{
    const struct model *m = j->loaded.model;
    struct array ids, labels;
    char why[WHY];
    size_t begin, end;
    int got = list_read(s, "input_ids", &ids, e);
    if (got < 0 || list_read(s, "labels", &labels, e) < 0)
        return -1;
    if (!got || !ids.shape[0])
        return error_set(e, STATUS_BAD, "no 'input_ids': tokenize makes them");
    size_t n = ids.shape[0];
    if (labels.data.data && labels.shape[0] != n)
        return error_set(e, STATUS_BAD, "%zu 'input_ids', %zu 'labels'", n, (size_t)labels.shape[0]);
    last_span(&labels, n, &begin, &end);
    if (begin >= m->max_tokens)
        return error_set(e, STATUS_BAD, "a prompt of %zu tokens; this model takes %zu with the answer", begin,
                         m->max_tokens);
    if (end > m->max_tokens)
        end = m->max_tokens;                /* of the reference; what follows does not matter */
    for (size_t i = 0; i < end; i++) {
        double id = array_at(&ids, i);
        if (!(id >= 0 && id < (double)m->vocab))
            return error_set(e, STATUS_BAD, "'input_ids' holds %.0f; this model's end at %zu", id, m->vocab - 1);
        j->ids[i] = (int32_t)id;
    }
    if (batch_add(&j->batch, j->ids, NULL, begin, NULL, 0, 0, 0, 0, why) < 0)
        return error_set(e, STATUS_BAD, "%s", why);
    return end > begin ? reference_read(j, j->ids + begin, end - begin, r, e) : 0;
}

int text_room(struct job *j, size_t most, struct error *e)
{
    const struct batch *b = &j->batch;
    size_t longest = 0, limit = j->loaded.model->max_tokens;
    for (size_t r = 0; r < b->rows; r++)
        if (b->start[r + 1] - b->start[r] > longest)
            longest = b->start[r + 1] - b->start[r];
    size_t tokens = longest + most < limit ? longest + most : limit;
    if (j->generator.logits && tokens <= j->generator.cache.room)
        return 0;
    tokens = (tokens + 255) / 256 * 256;
    return generator_make(j, (size_t)j->batch_size, tokens < limit ? tokens : limit, e);
}
