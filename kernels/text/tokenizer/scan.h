/* kernels/text/tokenizer/scan.h - a JSON reader that goes once over the text and builds nothing
 *
 * For one file: a tokenizer.json has 33 MB and 1.3 million strings with Gemma,
 * of which a general library makes as many objects: 1 GB and seconds.  Here
 * strings are borrowed from the text where they hold no escape, and the caller
 * walks the values it knows and passes over the others.  Small files are read
 * with a library, elsewhere.
 *
 * The text must be UTF-8 (checked by scan_begin) and stays the caller's.  What
 * fails fills `why` with the reason and the byte, and returns -1. */
#ifndef PENSTOCK_SCAN_H
#define PENSTOCK_SCAN_H

#include <stdbool.h>

#include "kernels/text/grow.h"

enum { SCAN_DEPTH = 64 };

struct scan {
    const char *start, *p, *end;
    char *why;                  /* WHY bytes, the caller's */
};

int scan_begin(struct scan *s, const char *text, size_t n, char *why);
int scan_fail(struct scan *s, const char *what);        /* "WHAT at byte N"; -1 */

/* The first character of the next value, white space passed; 0 at the end of the text. */
char scan_peek(struct scan *s);

/* An object or array: `if (scan_open(s, '{')) ...; for (bool first = true;
 * (r = scan_key(s, &first, &key, &spare)) > 0; )` reads one value each round; r
 * ends as 0 (closed) or -1.  scan_item is the same for '['. */
int scan_open(struct scan *s, char bracket);
int scan_key(struct scan *s, bool *first, struct str *key, struct text *spare);
int scan_item(struct scan *s, bool *first);

/* A string: borrowed from the text, or, if it has escapes, from `spare`, which is overwritten. */
int scan_string(struct scan *s, struct str *to, struct text *spare);
int scan_int(struct scan *s, int64_t *to);              /* a whole number of at most 15 digits */
int scan_bool(struct scan *s, bool *to);
/* Passes over one value; *whole, if not NULL, becomes a reader of it alone. */
int scan_skip(struct scan *s, struct scan *whole);

/* In the object that `in` holds (a reader made by scan_skip), the value of `key`;
 * a reader of nothing (scan_peek gives 0) if there is none or `in` is no object. */
struct scan scan_find(struct scan in, const char *key);
/* Is this value the string `text`?  The literal true?  Nothing, null, false or ""? */
bool scan_is(struct scan value, const char *text);
bool scan_true(struct scan value);
bool scan_none(struct scan value);

#endif
