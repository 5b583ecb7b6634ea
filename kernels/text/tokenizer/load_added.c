/* kernels/text/tokenizer/load_added.c - added tokens: into the vocabulary, and into the trees that find them */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/load.h"

struct added_token {
    struct str content;
    int64_t id;
    bool normalized;            /* stands in the normalised text */
    unsigned char flag;
};

static int read_flag(struct scan *s, struct str key, unsigned char *flags)
{
    static const struct { const char *key; unsigned char flag; } flag[] = {
        { "special", FLAG_SPECIAL }, { "lstrip", FLAG_LSTRIP }, { "rstrip", FLAG_RSTRIP }, { "single_word", FLAG_WORD },
    };
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (str_is(key, flag[i].key)) {
            bool on;
            if (scan_bool(s, &on))
                return -1;
            *flags = (unsigned char)(*flags | (on ? flag[i].flag : 0));
            return 0;
        }
    return scan_skip(s, NULL);
}

static int read_added_token(struct load *l, struct scan *s, struct added_token *a)
{
    struct str key;
    int r;

    *a = (struct added_token){ .id = -1, .flag = FLAG_ADDED };
    if (scan_open(s, '{'))
        return -1;
    for (bool first = true; (r = scan_key(s, &first, &key, &l->spare[0])) > 0;) {
        if (key.n == 7 && !memcmp(key.s, "content", 7))
            r = scan_string(s, &a->content, &l->spare[1]);
        else if (key.n == 2 && !memcmp(key.s, "id", 2))
            r = scan_int(s, &a->id);
        else if (key.n == 10 && !memcmp(key.s, "normalized", 10))
            r = scan_bool(s, &a->normalized);
        else
            r = read_flag(s, key, &a->flag);
        if (r)
            return -1;
    }
    if (!r && (!a->content.n || a->id < 0))
        return scan_fail(s, "an added token without content or id");
    return r;
}

/* Whisper's timestamps <|0.00|> to <|30.00|> follow <|notimestamps|>; files of
 * older checkpoints end there and leave them to the code. */
static int add_times(struct load *l)
{
    struct tokenizer *t = l->t;
    const char last[] = "<|notimestamps|>", *why;
    int32_t id = vocab_find(&t->vocab, str_of(last, sizeof last - 1));
    char name[20];

    l->times = INT32_MAX;
    if (!t->byte_level || id < 0 || (size_t)id + 1 != t->vocab.n)
        return 0;
    l->times = id + 1;
    for (int i = 0; i <= 1500; i++) {
        int n = snprintf(name, sizeof name, "<|%d.%02d|>", i / 50, i % 50 * 2);
        if (vocab_add(&t->vocab, str_of(name, (size_t)n), id + 1 + i, &why))
            return load_refuse(l, why);
        if (added_tree_add(t->tree, str_of(name, (size_t)n), id + 1 + i))
            return load_refuse(l, "out of memory");
    }
    return 0;
}

int load_added(struct load *l)
{
    struct tokenizer *t = l->t;
    struct scan s = l->added;
    struct added_token a;
    const char *why;
    int r;

    t->tree[1].marks = !t->byte_level;
    if (!scan_peek(&s))
        return add_times(l);
    if (scan_open(&s, '['))
        return -1;
    for (bool first = true; (r = scan_item(&s, &first)) > 0;) {
        int32_t old;
        if (read_added_token(l, &s, &a))
            return -1;
        old = vocab_find(&t->vocab, a.content);
        if (old >= 0 && old != a.id)
            return scan_fail(&s, "an added token whose id is not that of its vocabulary entry");
        if (old < 0 && vocab_add(&t->vocab, a.content, a.id, &why))
            return scan_fail(&s, why);
        if (added_tree_add(t->tree + a.normalized, a.content, (int32_t)a.id))
            return scan_fail(&s, "out of memory");
    }
    return r ? r : add_times(l);
}

/* The flags come second: only now is the number of ids known. */
int load_flags(struct load *l)
{
    struct tokenizer *t = l->t;
    struct scan s = l->added;
    struct added_token a;

    t->flag = calloc(t->vocab.n + 1, 1);
    if (!t->flag)
        return load_refuse(l, "out of memory");
    for (size_t id = (size_t)l->times; id < t->vocab.n; id++)
        t->flag[id] = FLAG_ADDED;
    if (!scan_peek(&s))
        return 0;
    scan_open(&s, '[');
    for (bool first = true; scan_item(&s, &first) > 0 && !read_added_token(l, &s, &a);)
        t->flag[a.id] = a.flag;
    return 0;
}
