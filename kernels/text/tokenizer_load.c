/* kernels/text/tokenizer_load.c - a tokenizer.json becomes a struct tokenizer
 *
 * The file is walked once (scan.h).  What is not one of the two kinds that
 * tokenizer.h names is refused with the setting that differs: a setting passed
 * over in silence would give other ids than the model was trained with. */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/scan.h"
#include "kernels/text/tables.h"
#include "kernels/text/utf8.h"

struct load {
    struct tokenizer *t;
    struct scan s;
    struct scan added, normalizer, pre, decoder, merges;    /* values met on the way; merges: only if they came before vocab */
    struct scan dropout, prefix, suffix, ignore, type, fallback;
    bool have_vocab, have_merges;
    int32_t (*triple)[3];       /* left, right, merged */
    size_t triples, room;
    struct text spare[2], joined;
};

static int refuse(struct load *l, const char *what)
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

static int read_merges(struct load *l)
{
    const struct vocab *v = &l->t->vocab;
    struct str left, right;
    int r;

    if (l->have_merges)
        return scan_fail(&l->s, "a second \"merges\"");
    l->have_merges = true;
    if (scan_open(&l->s, '['))
        return -1;
    for (bool first = true; (r = scan_item(&l->s, &first)) > 0;) {
        int32_t *to;
        if (read_merge(l, &left, &right))
            return -1;
        l->joined.n = 0;
        if (grow(&l->triple, &l->room, l->triples, 1, sizeof *l->triple) ||
            text_add(&l->joined, left.s, left.n) || text_add(&l->joined, right.s, right.n))
            return scan_fail(&l->s, "out of memory");
        to = l->triple[l->triples++];
        to[0] = vocab_find(v, left);
        to[1] = vocab_find(v, right);
        to[2] = vocab_find(v, str_of(l->joined.s, l->joined.n));
        if (to[0] < 0 || to[1] < 0 || to[2] < 0)
            return scan_fail(&l->s, "a merge of tokens that are not in the vocabulary");
    }
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
            bad = l->have_vocab ? read_merges(l) : scan_skip(&l->s, &l->merges);
        else
            bad = scan_skip(&l->s, keep);
        if (bad)
            return -1;
    }
    if (!r && scan_peek(&l->merges)) {
        struct scan here = l->s;
        l->s = l->merges;
        r = read_merges(l);
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
        return refuse(l, "there is no \"model\"");
    return r;
}

/* Which of the two kinds is it?  Everything that would change ids is looked at. */
static int check_kind(struct load *l)
{
    struct scan n = l->normalizer, p = l->pre, d = l->decoder;

    if (!scan_is(l->type, "BPE"))
        return refuse(l, "the model's type is not \"BPE\"");
    if (!scan_none(l->dropout) || !scan_none(l->prefix) || !scan_none(l->suffix) || !scan_none(l->ignore))
        return refuse(l, "the model has a dropout, continuing_subword_prefix, end_of_word_suffix or ignore_merges");
    l->t->byte_level = !scan_true(l->fallback);
    if (l->t->byte_level) {
        struct scan regex = scan_find(p, "use_regex");
        if (!scan_is(scan_find(p, "type"), "ByteLevel") || !scan_is(scan_find(d, "type"), "ByteLevel"))
            return refuse(l, "neither byte level (pre_tokenizer and decoder \"ByteLevel\") nor byte_fallback");
        if (!scan_none(scan_find(p, "add_prefix_space")) || (scan_peek(&regex) && !scan_true(regex)))
            return refuse(l, "the pre_tokenizer has add_prefix_space true or use_regex false");
        if (!scan_none(n))
            return refuse(l, "byte level with a normalizer");
        return 0;
    }
    if (!scan_is(scan_find(n, "type"), "Replace") || !scan_is(scan_find(scan_find(n, "pattern"), "String"), " ") ||
        !scan_is(scan_find(n, "content"), "\xe2\x96\x81"))
        return refuse(l, "byte_fallback with a normalizer other than Replace \" \" by U+2581");
    /* no space is left, so this one never splits */
    if (!scan_none(p) && !(scan_is(scan_find(p, "type"), "Split") && scan_is(scan_find(scan_find(p, "pattern"), "String"), " ")))
        return refuse(l, "byte_fallback with a pre_tokenizer other than Split at \" \"");
    if (!scan_is(scan_find(d, "type"), "Sequence"))
        return refuse(l, "byte_fallback with a decoder that is not Replace, ByteFallback, Fuse");
    return 0;
}

/* GPT-2's alphabet: bytes that print are themselves, the others follow from U+0100 on. */
static void alphabet(uint32_t point[256])
{
    uint32_t next = 256;

    for (uint32_t b = 0; b < 256; b++)
        point[b] = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad) ? b : next++;
}

static int make_byte_level(struct load *l)
{
    struct tokenizer *t = l->t;
    uint32_t point[256];

    alphabet(point);
    for (int b = 0; b < 256; b++) {
        char name[4];
        t->byte_id[b] = vocab_find(&t->vocab, str_of(name, (size_t)utf8_put(name, point[b])));
        if (t->byte_id[b] < 0) {
            snprintf(l->s.why, WHY, "no token for the byte 0x%02x", (unsigned)b);
            return -1;
        }
    }
    return classes_make(&t->classes) ? refuse(l, "out of memory") : 0;
}

/* The bytes that each name stands for.  A name with other characters (an added token) is itself. */
static int make_bytes(struct load *l)
{
    struct tokenizer *t = l->t;
    uint32_t point[256];
    int16_t byte[512];

    alphabet(point);
    memset(byte, -1, sizeof byte);
    for (int b = 0; b < 256; b++)
        byte[point[b]] = (int16_t)b;
    t->bytes = calloc(t->vocab.n, sizeof *t->bytes);
    if (!t->bytes || text_reserve(&t->raw, t->vocab.blob.n + 1))
        return refuse(l, "out of memory");
    for (size_t id = 0; id < t->vocab.n; id++) {
        struct str name;
        size_t start = t->raw.n;
        if (t->vocab.name[id].at == VOCAB_HOLE)
            continue;
        name = vocab_name(&t->vocab, (int32_t)id);
        for (size_t at = 0; at < name.n;) {
            uint32_t c;
            at += utf8_read(name.s + at, &c);
            if (c >= 512 || byte[c] < 0) {
                t->raw.n = start;
                text_add(&t->raw, name.s, name.n);      /* room is there: a name has at least as many bytes */
                break;
            }
            t->raw.s[t->raw.n++] = (char)byte[c];
        }
        t->bytes[id] = (struct name){ (uint32_t)start, (uint32_t)(t->raw.n - start) };
    }
    return 0;
}

static int make_fallback(struct load *l)
{
    struct tokenizer *t = l->t;

    t->char_id = calloc(0x110000, sizeof *t->char_id);
    t->seam = calloc((size_t)1 << (SEAM_BITS - 6), sizeof *t->seam);
    if (!t->char_id || !t->seam)
        return refuse(l, "out of memory");
    for (int b = 0; b < 256; b++) {
        char name[8];
        t->byte_id[b] = vocab_find(&t->vocab, str_of(name, (size_t)snprintf(name, sizeof name, "<0x%02X>", (unsigned)b)));
        if (t->byte_id[b] < 0) {
            snprintf(l->s.why, WHY, "no token %s", name);
            return -1;
        }
    }
    for (size_t id = 0; id < t->vocab.n; id++) {
        struct str name;
        uint32_t c;
        if (t->vocab.name[id].at == VOCAB_HOLE)
            continue;
        name = vocab_name(&t->vocab, (int32_t)id);
        if (name.n && utf8_read(name.s, &c) == name.n)
            t->char_id[c] = (int32_t)id + 1;
    }
    t->char_id[' '] = t->char_id[0x2581];       /* the normaliser */
    for (size_t i = 0; i < l->triples; i++) {
        struct str name = vocab_name(&t->vocab, l->triple[i][2]);
        uint32_t before, c;
        for (size_t at = 0; at < name.n; before = c) {
            bool any = at > 0;
            at += utf8_read(name.s + at, &c);
            c = c == 0x2581 ? ' ' : c;
            if (any) {
                uint32_t bit = seam_bit(before, c);
                t->seam[bit / 64] |= (uint64_t)1 << (bit % 64);
            }
        }
        for (int k = 0; k < 2; k++) {           /* the seams know nothing of byte tokens */
            struct str part = vocab_name(&t->vocab, l->triple[i][k]);
            if (part.n == 6 && !memcmp(part.s, "<0x", 3))
                return refuse(l, "a merge of a byte token");
        }
    }
    return 0;
}

/* --- added tokens -------------------------------------------------------------- */
static int tree_add(struct tokenizer *t, struct str name, int32_t id)
{
    uint32_t at = 0;

    for (size_t i = 0; i < name.n; i++) {
        unsigned char byte = (unsigned char)name.s[i];
        uint32_t next = t->tree[at].child;
        while (next && t->tree[next].byte != byte)
            next = t->tree[next].sibling;
        if (!next) {
            if (grow(&t->tree, &t->tree_room, t->branches, 1, sizeof *t->tree))
                return -1;
            next = (uint32_t)t->branches++;
            t->tree[next] = (struct branch){ .sibling = t->tree[at].child, .id = -1, .byte = byte };
            t->tree[at].child = next;
        }
        at = next;
    }
    t->tree[at].id = id;
    t->first[(unsigned char)name.s[0]] = true;
    return 0;
}

struct added_token {
    struct str content;
    int64_t id;
    bool special, strict;       /* strict: wants whole words or takes the space around it */
};

static int read_added_token(struct load *l, struct scan *s, struct added_token *a)
{
    struct str key;
    int r;

    *a = (struct added_token){ .id = -1 };
    if (scan_open(s, '{'))
        return -1;
    for (bool first = true; (r = scan_key(s, &first, &key, &l->spare[0])) > 0;) {
        bool flag;
        if (key.n == 7 && !memcmp(key.s, "content", 7))
            r = scan_string(s, &a->content, &l->spare[1]);
        else if (key.n == 2 && !memcmp(key.s, "id", 2))
            r = scan_int(s, &a->id);
        else if (key.n == 7 && !memcmp(key.s, "special", 7))
            r = scan_bool(s, &a->special);
        else if ((key.n == 6 && (!memcmp(key.s, "lstrip", 6) || !memcmp(key.s, "rstrip", 6))) ||
                 (key.n == 11 && !memcmp(key.s, "single_word", 11))) {
            r = scan_bool(s, &flag);
            a->strict |= !r && flag;
        } else
            r = scan_skip(s, NULL);
        if (r)
            return -1;
    }
    if (!r && (!a->content.n || a->id < 0))
        return scan_fail(s, "an added token without content or id");
    return r;
}

static int read_added(struct load *l)
{
    struct tokenizer *t = l->t;
    struct scan s = l->added;
    struct added_token a;
    const char *why;
    int r;

    if (grow(&t->tree, &t->tree_room, 0, 1, sizeof *t->tree))
        return refuse(l, "out of memory");
    t->tree[0] = (struct branch){ .id = -1 };
    t->branches = 1;
    if (!scan_peek(&s))
        return 0;
    if (scan_open(&s, '['))
        return -1;
    for (bool first = true; (r = scan_item(&s, &first)) > 0;) {
        int32_t old;
        if (read_added_token(l, &s, &a))
            return -1;
        if (a.strict)
            return scan_fail(&s, "an added token with lstrip, rstrip or single_word");
        old = vocab_find(&t->vocab, a.content);
        if (old >= 0 && old != a.id)
            return scan_fail(&s, "an added token whose id is not that of its vocabulary entry");
        if (old < 0 && vocab_add(&t->vocab, a.content, a.id, &why))
            return scan_fail(&s, why);
        if (tree_add(t, a.content, (int32_t)a.id))
            return scan_fail(&s, "out of memory");
    }
    return r;
}

/* The flags come second: only now is the number of ids known. */
static int flag_added(struct load *l)
{
    struct tokenizer *t = l->t;
    struct scan s = l->added;
    struct added_token a;

    t->flag = calloc(t->vocab.n + 1, 1);
    if (!t->flag)
        return refuse(l, "out of memory");
    if (!scan_peek(&s))
        return 0;
    scan_open(&s, '[');
    for (bool first = true; scan_item(&s, &first) > 0 && !read_added_token(l, &s, &a);)
        t->flag[a.id] = (unsigned char)(FLAG_ADDED | (a.special ? FLAG_SPECIAL : 0));
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
        return refuse(l, "larger than 2 GB");
    if (scan_begin(&l->s, json, n, l->s.why) || read_file(l) || check_kind(l))
        return -1;
    if (t->byte_level ? make_byte_level(l) : make_fallback(l))
        return -1;
    r = pairs_make(&t->pairs, (const int32_t (*)[3])l->triple, l->triples);
    if (r)
        return refuse(l, r == -1 ? "out of memory" : "too many merges of one hash");
    if (read_added(l) || flag_added(l) || (t->byte_level && make_bytes(l)))
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
    text_release(&l.joined);
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
    free(t->tree);
    free(t->char_id);
    free(t->seam);
    free(t);
}
