/* kernels/text/tokenizer/tokenizer.h - text to token ids and back, from a Hugging Face tokenizer.json
 *
 * Two kinds of byte pair encoding are known, told apart by the file:
 *   byte level     Whisper, GPT-2: the text is split into words by GPT-2's rule,
 *                  each byte is a symbol, merges join symbols within a word;
 *   byte fallback  Gemma: a space becomes U+2581, each code point is a symbol
 *                  (its bytes are, if it has none), merges join them anywhere.
 * Added tokens (<|en|>, <start_of_turn>, runs of newlines) are found first (added.h),
 * leftmost, and of those the longest.  Ids equal those of the `tokenizers`
 * library on every well-formed text (tests/golden/tokenizer-*).
 *
 * A struct tokenizer is read-only once made: threads may share one.  A struct
 * encoder holds the scratch and the word cache of one thread. */
#ifndef PENSTOCK_TOKENIZER_H
#define PENSTOCK_TOKENIZER_H

#include <stdbool.h>

#include "kernels/linalg/compute.h"
#include "kernels/text/grow.h"

struct tokenizer;
struct encoder;

enum { TOKENIZER_TEXT_MAX = 16 << 20 };     /* bytes of one text: bounds the scratch to some 50 times that */

/* What of a text may become an added token; all else is spelled out in ordinary tokens. */
enum added {
    ADDED_NONE,                 /* nothing: what people write is text, whatever it looks like */
    ADDED_ORDINARY,             /* those that are not special: Whisper's timestamps, Gemma's tags and runs of newlines */
    ADDED_ALL,                  /* all: as transformers reads any text */
};

enum { TEXT_BAD = -1, TEXT_MEMORY = -2 };   /* what the text is to blame for, and what it is not */

/* json: the bytes of a tokenizer.json, the caller's, not kept.  NULL with why: not
 * one, of a kind not known here, or out of memory.  Takes 0.1 s for Gemma's 33 MB. */
struct tokenizer *tokenizer_new(const char *json, size_t n, char why[WHY]);
void tokenizer_free(struct tokenizer *t);

int32_t tokenizer_size(const struct tokenizer *t);          /* the largest id + 1 */
/* The largest id of a token that is not an added one, + 1: what a model must have
 * rows for at least.  Gemma 3 text models lack a row for the last added token. */
int32_t tokenizer_text_size(const struct tokenizer *t);
uint64_t tokenizer_hash(const struct tokenizer *t);         /* of all names and merges: equal files encode alike */
/* the id of a token as the file spells it; -1 none */
int32_t tokenizer_find(const struct tokenizer *t, const char *name);
struct str tokenizer_name(const struct tokenizer *t, int32_t id);       /* lives as long as t; { NULL, 0 }: no such id */
bool tokenizer_special(const struct tokenizer *t, int32_t id);          /* an added token marked special */
bool tokenizer_added(const struct tokenizer *t, int32_t id);

struct encoder *encoder_new(const struct tokenizer *t);     /* t must outlive it; NULL: out of memory */
void encoder_free(struct encoder *e);

/* Appends the ids of text[0, n) to `out`; no begin or end token is added.  0, or
 * TEXT_BAD (not UTF-8, longer than TOKENIZER_TEXT_MAX) or TEXT_MEMORY, both with
 * why and `out` as it was. */
int encode(struct encoder *e, const char *text, size_t n, enum added added, struct tokens *out, char why[WHY]);

/* Where each of ids[0, n), the encoding of text[0, size), ends in the text: end[i]
 * bytes.  TEXT_BAD: they are not its encoding. */
int encode_offsets(const struct tokenizer *t, const int32_t *ids, size_t n, const char *text, size_t size, size_t *end);

/* Appends the text of ids[0, n), without special tokens if `skip`.  Bytes that are
 * not UTF-8 become U+FFFD: at byte level one for each longest broken piece of all
 * tokens together, with byte fallback one for each byte of a run of byte tokens
 * that is not UTF-8 as a whole.  An id that is none has no text.  TEXT_MEMORY with why. */
int decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip, struct text *out, char why[WHY]);
/* At byte level, one token's bytes as they are; they may be part of a character. */
int decode_bytes(const struct tokenizer *t, int32_t id, struct text *out);

#endif
