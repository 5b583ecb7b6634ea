/* kernels/text/tokenizer/added.c - see added.h */
#include "kernels/text/tokenizer/added.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "kernels/text/tokenizer/split.h"
#include "kernels/text/utf8.h"

static const char MARK[] = "\xe2\x96\x81";      /* U+2581 */
enum { MARK_SIZE = sizeof MARK - 1 };

/* One step of a name or text: its byte, and how many it stands for. */
static unsigned char step(const struct added_tree *tree, const char *s, size_t n, size_t *size)
{
    bool mark = tree->marks && n >= MARK_SIZE && !memcmp(s, MARK, MARK_SIZE);
    *size = mark ? MARK_SIZE : 1;
    return mark ? ' ' : (unsigned char)*s;
}

static uint32_t child_of(const struct added_tree *tree, uint32_t at, unsigned char byte)
{
    uint32_t next = tree->branch[at].child;
    while (next && tree->branch[next].byte != byte)
        next = tree->branch[next].sibling;
    return next;
}

static int branch_add(struct added_tree *tree, struct branch b)
{
    if (grow(&tree->branch, &tree->room, tree->n, 1, sizeof *tree->branch))
        return -1;
    tree->branch[tree->n++] = b;
    return 0;
}

int added_tree_add(struct added_tree *tree, struct str name, int32_t id)
{
    uint32_t at = 0;
    if (!tree->n && branch_add(tree, (struct branch){ .id = -1 }))
        return -1;
    for (size_t i = 0, size; i < name.n; i += size) {
        unsigned char byte = step(tree, name.s + i, name.n - i, &size);
        uint32_t next = child_of(tree, at, byte);
        if (!next) {
            if (branch_add(tree, (struct branch){ .sibling = tree->branch[at].child, .id = -1, .byte = byte }))
                return -1;
            next = (uint32_t)(tree->n - 1);
            tree->branch[at].child = next;
        }
        at = next;
        if (!i)
            tree->first[byte] = true;
        if (!i && tree->marks && byte == ' ')
            tree->first[(unsigned char)MARK[0]] = true;
    }
    tree->branch[at].id = id;
    return 0;
}

void added_tree_release(struct added_tree *tree)
{
    free(tree->branch);
    *tree = (struct added_tree){ 0 };
}

/* The longest token at s: its length (0: none) and id. */
static size_t longest(const struct added_tree *tree, const unsigned char *flag, int but, const char *s, size_t n, int32_t *id)
{
    size_t best = 0;
    uint32_t at = 0;
    for (size_t i = 0, size; i < n; i += size) {
        at = child_of(tree, at, step(tree, s + i, n - i, &size));
        if (!at)
            break;
        int32_t found = tree->branch[at].id;
        if (found >= 0 && !(flag[found] & but)) {
            *id = found;
            best = i + size;
        }
    }
    return best;
}

/* --- what is around a token --------------------------------------------------------------- */
/* As \w of the regex crate has it, but for the few letters among the symbols. */
static bool word_is(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200c || c == 0x200d;
    }
}

/* The last code point of s[0, n), n > 0, and its length. */
static size_t last_read(const char *s, size_t n, uint32_t *c)
{
    size_t size = 1;
    while (size < n && ((unsigned char)s[n - size] & 0xc0) == 0x80)
        size++;
    utf8_read(s + n - size, c);
    return size;
}

static bool inside_word(const char *s, size_t n, size_t begin, size_t end)
{
    uint32_t before = ' ', behind = ' ';
    if (begin)
        last_read(s, begin, &before);
    if (end < n)
        utf8_read(s + end, &behind);
    return word_is(before) || word_is(behind);
}

/* A normalizer has left no space where it puts marks. */
static bool white(uint32_t c, bool marks)
{
    return space_is(c) && !(marks && c == ' ');
}

size_t spaces_before(const char *s, size_t n, bool marks)
{
    size_t at = 0;
    while (at < n) {
        uint32_t c;
        size_t size = utf8_read(s + at, &c);
        if (!white(c, marks))
            break;
        at += size;
    }
    return at;
}

size_t spaces_behind(const char *s, size_t n, bool marks)
{
    size_t left = n;
    while (left) {
        uint32_t c;
        size_t size = last_read(s, left, &c);
        if (!white(c, marks))
            break;
        left -= size;
    }
    return n - left;
}

bool added_next(const struct added_tree *tree, const unsigned char *flag, int but, const char *s, size_t n, size_t from,
                size_t *at, struct added_match *m)
{
    while (*at < n) {
        size_t begin = *at, size = tree->first[(unsigned char)s[begin]] ? longest(tree, flag, but, s + begin, n - begin, &m->id) : 0;
        *at += size ? size : 1;
        if (!size || ((flag[m->id] & FLAG_WORD) && inside_word(s, n, begin, *at)))
            continue;
        m->begin = begin;
        m->end = *at;
        if (flag[m->id] & FLAG_LSTRIP) {
            m->begin -= spaces_behind(s, begin, tree->marks);
            m->begin = m->begin < from ? from : m->begin;
        }
        if (flag[m->id] & FLAG_RSTRIP)
            m->end += spaces_before(s + m->end, n - m->end, tree->marks);
        if (m->begin < m->end)          /* else the token before it has taken it with the white space behind */
            return true;
    }
    return false;
}
