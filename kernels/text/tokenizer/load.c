/* kernels/text/tokenizer/load.c - a tokenizer.json becomes a struct tokenizer
 *
 * The file is walked once (scan.h).  What is not one of the two kinds that
 * tokenizer.h names is refused with the setting that differs: a setting passed
 * over in silence would give other ids than the model was trained with. */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/load.h"

int load_refuse(struct load *l, const char *what)
{
    snprintf(l->s.why, WHY, "%s", what);
    return -1;
}

static int read_vocab(struct load *l)
{
    struct str name;
    int64_t id;
    const char *why;
    int r;

    if (l->have_vocab)
        return scan_fail(&l->s, "a second \"vocab\"");
    if (scan_open(&l->s, '{'))
        return -1;
    for (bool first = true; (r = scan_key(&l->s, &first, &name, &l->spare[0])) > 0;) {
        if (scan_int(&l->s, &id))
            return -1;
        if (vocab_add(&l->t->vocab, name, id, &why))
            return scan_fail(&l->s, why);
    }
    l->have_vocab = true;
    return r;
}

static int read_model(struct load *l)
{
    static const struct { const char *key; size_t at; } kept[] = {
        { "type", offsetof(struct load, type) }, { "dropout", offsetof(struct load, dropout) },
        { "continuing_subword_prefix", offsetof(struct load, prefix) },
        { "end_of_word_suffix", offsetof(struct load, suffix) }, { "ignore_merges", offsetof(struct load, ignore) },
        { "byte_fallback", offsetof(struct load, fallback) },
    };
    struct str key;
    int r;

    if (scan_open(&l->s, '{'))
        return -1;
    for (bool first = true; (r = scan_key(&l->s, &first, &key, &l->spare[0])) > 0;) {
        struct scan *keep = NULL;
        int bad;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (key.n == strlen(kept[i].key) && !memcmp(key.s, kept[i].key, key.n))
                keep = (struct scan *)(void *)((char *)l + kept[i].at);
        if (key.n == 5 && !memcmp(key.s, "vocab", 5))
            bad = read_vocab(l);
        else if (key.n == 6 && !memcmp(key.s, "merges", 6))
            bad = l->have_vocab ? load_merges(l) : scan_skip(&l->s, &l->merges);
        else
            bad = scan_skip(&l->s, keep);
        if (bad)
            return -1;
    }
    if (!r && scan_peek(&l->merges)) {
        struct scan here = l->s;
        l->s = l->merges;
        r = load_merges(l);
        l->s = here;
    }
    if (!r && (!l->have_vocab || !l->have_merges))
        return scan_fail(&l->s, "a model without \"vocab\" and \"merges\"");
    return r;
}

static int read_file(struct load *l)
{
    struct { const char *key; struct scan *to; } part[] = {
        { "added_tokens", &l->added }, { "normalizer", &l->normalizer },
        { "pre_tokenizer", &l->pre }, { "decoder", &l->decoder },
    };
    struct str key;
    int r;

    if (scan_open(&l->s, '{'))
        return -1;
    for (bool first = true; (r = scan_key(&l->s, &first, &key, &l->spare[0])) > 0;) {
        struct scan *to = NULL;
        for (size_t i = 0; i < sizeof part / sizeof *part; i++)
            if (key.n == strlen(part[i].key) && !memcmp(key.s, part[i].key, key.n))
                to = part[i].to;
        if (key.n == 5 && !memcmp(key.s, "model", 5) ? read_model(l) : scan_skip(&l->s, to))
            return -1;
    }
    if (!r && scan_peek(&l->s))
        return scan_fail(&l->s, "more after the end");
    if (!r && !l->have_vocab)
        return load_refuse(l, "there is no \"model\"");
    return r;
}

/* Which of the two kinds is it?  Everything that would change ids is looked at. */
static int check_kind(struct load *l)
{
    struct scan n = l->normalizer, p = l->pre, d = l->decoder;

    if (!scan_is(l->type, "BPE"))
        return load_refuse(l, "the model's type is not \"BPE\"");
    if (!scan_none(l->dropout) || !scan_none(l->prefix) || !scan_none(l->suffix) || !scan_none(l->ignore))
        return load_refuse(l, "the model has a dropout, continuing_subword_prefix, end_of_word_suffix or ignore_merges");
    l->t->byte_level = !scan_true(l->fallback);
    if (l->t->byte_level) {
        struct scan regex = scan_find(p, "use_regex");
        if (!scan_is(scan_find(p, "type"), "ByteLevel") || !scan_is(scan_find(d, "type"), "ByteLevel"))
            return load_refuse(l, "neither byte level (pre_tokenizer and decoder \"ByteLevel\") nor byte_fallback");
        if (!scan_none(scan_find(p, "add_prefix_space")) || (scan_peek(&regex) && !scan_true(regex)))
            return load_refuse(l, "the pre_tokenizer has add_prefix_space true or use_regex false");
        if (!scan_none(n))
            return load_refuse(l, "byte level with a normalizer");
        return 0;
    }
    if (!scan_is(scan_find(n, "type"), "Replace") || !scan_is(scan_find(scan_find(n, "pattern"), "String"), " ") ||
        !scan_is(scan_find(n, "content"), "\xe2\x96\x81"))
        return load_refuse(l, "byte_fallback with a normalizer other than Replace \" \" by U+2581");
    /* no space is left, so this one never splits */
    if (!scan_none(p) && !(scan_is(scan_find(p, "type"), "Split") &&
                           scan_is(scan_find(scan_find(p, "pattern"), "String"), " ")))
        return load_refuse(l, "byte_fallback with a pre_tokenizer other than Split at \" \"");
    if (!scan_is(scan_find(d, "type"), "Sequence"))
        return load_refuse(l, "byte_fallback with a decoder that is not Replace, ByteFallback, Fuse");
    return 0;
}

static uint64_t tables_hash(const struct load *l)
{
    const struct tokenizer *t = l->t;
    uint64_t h = t->byte_level;

    for (size_t id = 0; id < t->vocab.n; id++) {
        struct str name = t->vocab.name[id].at == VOCAB_HOLE ? str_of("", 0) : vocab_name(&t->vocab, (int32_t)id);
        h = (h ^ bytes_hash(name.s, name.n) ^ t->flag[id]) * PAIR_MIX;
        h ^= h >> 31;
    }
    for (size_t i = 0; i < l->triples; i++) {
        h = (h ^ ((uint64_t)(uint32_t)l->triple[i][0] << 32 | (uint32_t)l->triple[i][1])) * PAIR_MIX;
        h ^= h >> 31;
    }
    return h;
}

static int load(struct load *l, const char *json, size_t n)
{
    struct tokenizer *t = l->t;
    int r;

    if (n > UINT32_MAX / 2)
        return load_refuse(l, "larger than 2 GB");
    if (scan_begin(&l->s, json, n, l->s.why) || read_file(l) || check_kind(l))
        return -1;
    if (t->byte_level ? load_byte_level(l) : load_fallback(l))
        return -1;
    r = pairs_make(&t->pairs, (const int32_t (*)[3])l->triple, l->triples);
    if (r)
        return load_refuse(l, r == -1 ? "out of memory" : "too many merges of one hash");
    if (load_added(l) || load_flags(l) || (t->byte_level && load_bytes(l)))
        return -1;
    t->hash = tables_hash(l);
    return 0;
}

struct tokenizer *tokenizer_new(const char *json, size_t n, char why[WHY])
{
    struct load l = { .s.why = why };
    int bad;

    why[0] = 0;
    l.t = calloc(1, sizeof *l.t);
    if (!l.t) {
        snprintf(why, WHY, "out of memory");
        return NULL;
    }
    bad = load(&l, json, n);
    free(l.triple);
    text_release(&l.spare[0]);
    text_release(&l.spare[1]);
    if (bad) {
        tokenizer_free(l.t);
        return NULL;
    }
    return l.t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    vocab_release(&t->vocab);
    pairs_release(&t->pairs);
    classes_release(&t->classes);
    text_release(&t->raw);
    free(t->bytes);
    free(t->flag);
    for (size_t i = 0; i < TREES; i++)
        added_tree_release(t->tree + i);
    free(t->char_id);
    free(t->seam);
    free(t);
}
