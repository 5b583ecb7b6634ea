/* kernels/text/tokenizer/load_added.c - added tokens: into the vocabulary, and into the tree that finds them */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/load.h"

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
        if (tree_add(t, str_of(name, (size_t)n), id + 1 + i))
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

    if (grow(&t->tree, &t->tree_room, 0, 1, sizeof *t->tree))
        return load_refuse(l, "out of memory");
    t->tree[0] = (struct branch){ .id = -1 };
    t->branches = 1;
    if (!scan_peek(&s))
        return add_times(l);
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
        t->flag[a.id] = (unsigned char)(FLAG_ADDED | (a.special ? FLAG_SPECIAL : 0));
    return 0;
}
