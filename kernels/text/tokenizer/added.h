/* kernels/text/tokenizer/added.h - added tokens: found in a text before it is split into words
 *
 * As in the tokenizers library a text is searched twice: for those that stand in it as
 * it is, and, between these, for those that stand in the normalised text. */
#ifndef PENSTOCK_TEXT_ADDED_H
#define PENSTOCK_TEXT_ADDED_H

#include <stdbool.h>

#include "kernels/text/grow.h"

/* A tree of bytes: children of a node are a list. */
struct branch { uint32_t child, sibling; int32_t id; unsigned char byte; };     /* id -1: no token ends here */

struct added_tree {             /* starts as { 0 } */
    struct branch *branch;      /* node 0 is the root; NULL: no tokens */
    size_t n, room;
    bool first[256];            /* bytes that begin a token */
    bool marks;                 /* a space and U+2581, which a normalizer puts for it, are one */
};

/* Of a token, beside others (tables.h): takes the white space before it, or behind it; not inside a word. */
enum { FLAG_LSTRIP = 4, FLAG_RSTRIP = 8, FLAG_WORD = 16 };

int added_tree_add(struct added_tree *tree, struct str name, int32_t id);       /* -1: out of memory */
void added_tree_release(struct added_tree *tree);

struct added_match {
    size_t begin, end;          /* bytes of the text, white space that it takes included */
    int32_t id;
};
/* The leftmost token in s[*at, n), of those the longest; *at moves behind it.  flag: by id; but: tokens with
 * one of these flags are passed by.  from: where text begins that is not taken yet; a token of white space
 * that the one before has taken may begin before it.  false: no more. */
bool added_next(const struct added_tree *tree, const unsigned char *flag, int but, const char *s, size_t n, size_t from,
                size_t *at, struct added_match *m);

/* How many bytes of white space s[0, n) begins and ends with. */
size_t spaces_before(const char *s, size_t n, bool marks);
size_t spaces_behind(const char *s, size_t n, bool marks);

#endif
