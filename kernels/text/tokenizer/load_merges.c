/* kernels/text/tokenizer/load_merges.c - the merges of a tokenizer.json: half a million pairs of strings with Gemma */
#include <stdio.h>

#include "kernels/text/tokenizer/load.h"

/* One merge: ["a", "b"], or "a b" in older files. */
static int read_merge(struct load *l, struct str *left, struct str *right)
{
    struct scan *s = &l->s;
    bool first = true;
    const char *gap;

    if (scan_peek(s) == '[') {
        scan_open(s, '[');
        if (scan_item(s, &first) <= 0 || scan_string(s, left, &l->spare[0]) ||
            scan_item(s, &first) <= 0 || scan_string(s, right, &l->spare[1]) || scan_item(s, &first) != 0)
            return scan_fail(s, "a merge that is not two strings");
        return 0;
    }
    if (scan_string(s, left, &l->spare[0]))
        return -1;
    gap = memchr(left->s, ' ', left->n);
    if (!gap)
        return scan_fail(s, "a merge without a space");
    *right = str_of(gap + 1, left->n - (size_t)(gap + 1 - left->s));
    left->n = (size_t)(gap - left->s);
    if (memchr(right->s, ' ', right->n))
        return scan_fail(s, "a merge with two spaces");
    return 0;
}

/* Where a merge's names lie in the tables is a matter of chance, so most of the
 * time would go into waiting for memory: QUEUE merges are on their way at once. */
enum { QUEUE = 32 };
struct waiting {
    struct text joined;         /* left and right; the first `left` bytes are left */
    size_t left;
    uint64_t hash[3];           /* of left, right, both */
};

static int queue_put(struct load *l, struct waiting *w, struct str left, struct str right)
{
    const struct vocab *v = &l->t->vocab;

    w->joined.n = 0;
    if (text_add(&w->joined, left.s, left.n) || text_add(&w->joined, right.s, right.n) || text_reserve(&w->joined, 1))
        return scan_fail(&l->s, "out of memory");
    w->left = left.n;
    w->hash[0] = bytes_hash(w->joined.s, left.n);
    w->hash[1] = bytes_hash(w->joined.s + left.n, right.n);
    w->hash[2] = bytes_hash(w->joined.s, w->joined.n);
    for (int k = 0; k < 3; k++)
        vocab_fetch(v, w->hash[k], 0);
    return 0;
}

static void queue_fetch(const struct load *l, const struct waiting *w, int step)
{
    for (int k = 0; k < 3; k++)
        vocab_fetch(&l->t->vocab, w->hash[k], step);
}

static int queue_take(struct load *l, const struct waiting *w)
{
    const struct vocab *v = &l->t->vocab;
    int32_t *to;

    if (grow(&l->triple, &l->room, l->triples, 1, sizeof *l->triple))
        return scan_fail(&l->s, "out of memory");
    to = l->triple[l->triples++];
    to[0] = vocab_find_hashed(v, str_of(w->joined.s, w->left), w->hash[0]);
    to[1] = vocab_find_hashed(v, str_of(w->joined.s + w->left, w->joined.n - w->left), w->hash[1]);
    to[2] = vocab_find_hashed(v, str_of(w->joined.s, w->joined.n), w->hash[2]);
    if (to[0] < 0 || to[1] < 0 || to[2] < 0) {
        snprintf(l->s.why, WHY, "merge %zu is of tokens that are not in the vocabulary", l->triples);
        return -1;
    }
    return 0;
}

static int merges_read(struct load *l, struct waiting *queue)
{
    struct str left, right;
    size_t n = 0;
    int r;

    if (scan_open(&l->s, '['))
        return -1;
    for (bool first = true; (r = scan_item(&l->s, &first)) > 0; n++) {
        if (n >= QUEUE && queue_take(l, &queue[n % QUEUE]))
            return -1;
        if (read_merge(l, &left, &right) || queue_put(l, &queue[n % QUEUE], left, right))
            return -1;
        if (n >= QUEUE / 3)
            queue_fetch(l, &queue[(n - QUEUE / 3) % QUEUE], 1);
        if (n >= QUEUE * 2 / 3)
            queue_fetch(l, &queue[(n - QUEUE * 2 / 3) % QUEUE], 2);
    }
    for (size_t i = n < QUEUE ? 0 : n - QUEUE; i < n && !r; i++)
        r = queue_take(l, &queue[i % QUEUE]);
    return r;
}

int load_merges(struct load *l)
{
    struct waiting queue[QUEUE] = { 0 };
    int r;

    if (l->have_merges)
        return scan_fail(&l->s, "a second \"merges\"");
    l->have_merges = true;
    r = merges_read(l, queue);
    for (size_t i = 0; i < QUEUE; i++)
        text_release(&queue[i].joined);
    return r;
}
