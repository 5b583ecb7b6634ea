/* kernels/text/tokenizer/encode.c - text to ids: added tokens, words, a cache of words, merges */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/bpe.h"
#include "kernels/text/tokenizer/tables.h"
#include "kernels/text/utf8.h"

/* Words repeat: a line of the processor's cache a word, found by its hash, the
 * last come staying.  Longer words and those of more tokens are merged anew. */
enum { CACHE_BYTES = 26, CACHE_IDS = 9, CACHE_BITS = 15 };
struct cached {
    uint8_t bytes, ids;         /* 0 bytes: empty */
    char word[CACHE_BYTES];
    int32_t id[CACHE_IDS];
};

struct encoder {
    const struct tokenizer *t;
    struct bpe bpe;
    struct cached *cache;
};

struct encoder *encoder_new(const struct tokenizer *t)
{
    struct encoder *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->t = t;
    e->cache = calloc((size_t)1 << CACHE_BITS, sizeof *e->cache);
    if (!e->cache) {
        free(e);
        return NULL;
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    bpe_release(&e->bpe);
    free(e->cache);
    free(e);
}

static int add_symbols(struct encoder *e, const char *s, size_t n)
{
    const struct tokenizer *t = e->t;

    e->bpe.nodes = 0;
    if (t->byte_level) {
        for (size_t i = 0; i < n; i++)
            if (bpe_add(&e->bpe, t->byte_id[(unsigned char)s[i]]))
                return -1;
        return 0;
    }
    for (size_t i = 0, size; i < n; i += size) {
        uint32_t c;
        size = utf8_read(s + i, &c);
        if (t->char_id[c]) {
            if (bpe_add(&e->bpe, t->char_id[c] - 1))
                return -1;
        } else {
            for (size_t k = 0; k < size; k++)
                if (bpe_add(&e->bpe, t->byte_id[(unsigned char)s[i + k]]))
                    return -1;
        }
    }
    return 0;
}

/* One word: a piece of text that no merge leaves. */
static int encode_word(struct encoder *e, const char *s, size_t n, struct tokens *out)
{
    struct cached *c = NULL;
    size_t before = out->n;

    if (n <= CACHE_BYTES) {
        c = &e->cache[bytes_hash(s, n) >> (64 - CACHE_BITS)];
        if (c->bytes == n && !memcmp(c->word, s, n)) {
            if (tokens_reserve(out, CACHE_IDS))
                return -1;
            memcpy(out->id + out->n, c->id, sizeof c->id);
            out->n += c->ids;
            return 0;
        }
    }
    if (add_symbols(e, s, n) || bpe_run(&e->bpe, &e->t->pairs, out))
        return -1;
    if (c && out->n - before <= CACHE_IDS) {
        c->bytes = (uint8_t)n;
        c->ids = (uint8_t)(out->n - before);
        memcpy(c->word, s, n);
        memcpy(c->id, out->id + before, c->ids * sizeof *c->id);
    }
    return 0;
}

/* The length of the longest piece at s that ends where no merge can join. */
static size_t seam_find(const struct tokenizer *t, const char *s, size_t n)
{
    uint32_t before, c;
    size_t at = utf8_read(s, &before);

    if (before == 0x2581)
        before = ' ';
    while (at < n) {
        size_t size = utf8_read(s + at, &c);
        if (c == 0x2581)
            c = ' ';
        if (!seam_joins(t, before, c))
            break;
        at += size;
        before = c;
    }
    return at;
}

/* Text without added tokens. */
static int encode_piece(struct encoder *e, const char *s, size_t n, struct tokens *out)
{
    const struct tokenizer *t = e->t;

    for (size_t at = 0, size; at < n; at += size) {
        size = t->byte_level ? split_word(&t->classes, s + at, n - at) : seam_find(t, s + at, n - at);
        if (encode_word(e, s + at, size, out))
            return -1;
    }
    return 0;
}

/* Text in which the trees from this one on are still to be searched for. */
static int encode_text(struct encoder *e, size_t tree, const char *s, size_t n, int but, struct tokens *out)
{
    const struct tokenizer *t = e->t;
    size_t start = 0, at = 0;
    struct added_match m;

    while (tree < TREES && !t->tree[tree].n)
        tree++;
    if (tree == TREES)
        return encode_piece(e, s, n, out);
    while (added_next(t->tree + tree, t->flag, but, s, n, start, &at, &m)) {
        if (m.begin > start && encode_text(e, tree + 1, s + start, m.begin - start, but, out))
            return -1;
        if (tokens_add(out, m.id))
            return -1;
        start = m.end;
    }
    return start < n ? encode_text(e, tree + 1, s + start, n - start, but, out) : 0;
}

int encode(struct encoder *e, const char *text, size_t n, enum added added, struct tokens *out, char why[WHY])
{
    size_t before = out->n, valid;

    if (n > TOKENIZER_TEXT_MAX) {
        snprintf(why, WHY, "a text of %zu bytes: at most %d are taken", n, TOKENIZER_TEXT_MAX);
        return TEXT_BAD;
    }
    valid = utf8_valid(text, n);
    if (valid < n) {
        snprintf(why, WHY, "the text is not UTF-8 at byte %zu", valid);
        return TEXT_BAD;
    }
    int but = added == ADDED_ALL ? 0 : FLAG_SPECIAL;
    if (encode_text(e, added == ADDED_NONE ? TREES : 0, text, n, but, out)) {
        snprintf(why, WHY, "out of memory");
        out->n = before;
        return TEXT_MEMORY;
    }
    return 0;
}
