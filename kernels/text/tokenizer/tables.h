/* kernels/text/tokenizer/tables.h - what a struct tokenizer holds; for the files beside this one */
#ifndef PENSTOCK_TEXT_TABLES_H
#define PENSTOCK_TEXT_TABLES_H

#include "kernels/text/tokenizer/added.h"
#include "kernels/text/tokenizer/split.h"
#include "kernels/text/tokenizer/tokenizer.h"
#include "kernels/text/tokenizer/vocab.h"

enum { FLAG_ADDED = 1, FLAG_SPECIAL = 2 };       /* and those of added.h */
enum { SEAM_BITS = 19, TREES = 2 };

struct tokenizer {
    bool byte_level;
    struct vocab vocab;
    struct pairs pairs;
    unsigned char *flag;        /* by id */
    struct added_tree tree[TREES];  /* added tokens of the text as it is, and as it is normalised */
    uint64_t hash;

    int32_t byte_id[256];       /* the symbols of single bytes */
    /* byte level */
    struct classes classes;
    struct name *bytes;         /* by id: the name as bytes, in raw */
    struct text raw;
    /* byte fallback */
    int32_t *char_id;           /* by code point: its symbol + 1, or 0 */
    uint64_t *seam;             /* a set of bits: pairs of neighbours that some merge may join */
};

/* May the code points a, b ever be in one token made by merges?  False for certain, true perhaps. */
static inline uint32_t seam_bit(uint32_t a, uint32_t b)
{
    uint64_t key = (uint64_t)a << 32 | b;
    return (uint32_t)(key * PAIR_MIX >> (64 - SEAM_BITS));
}
static inline bool seam_joins(const struct tokenizer *t, uint32_t a, uint32_t b)
{
    uint32_t bit = seam_bit(a, b);
    return t->seam[bit / 64] >> (bit % 64) & 1;
}

#endif
