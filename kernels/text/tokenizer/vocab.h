/* kernels/text/tokenizer/vocab.h - the tables of a tokenizer: names by id, ids by name, merges by pair
 *
 * Filled once while a tokenizer.json is read, then only read.  Names are bytes
 * as the file spells them.  For the tokenizer's own files; others use tokenizer.h. */
#ifndef PENSTOCK_VOCAB_H
#define PENSTOCK_VOCAB_H

#include <string.h>

#include "kernels/text/grow.h"

enum { VOCAB_MAX = 1 << 21 };       /* ids are below it: holes in their row cost memory */

struct name { uint32_t at, size; }; /* bytes of the blob; at is VOCAB_HOLE where no token has the id */
#define VOCAB_HOLE UINT32_MAX

struct vocab {
    struct text blob;
    struct name *name;          /* by id */
    size_t n, room;             /* ids known: the largest + 1 */
    uint64_t *slot;             /* hash of the name << 32 | id + 1; 0 empty; open addressing */
    size_t slots, used;         /* slots: a power of two, at least twice used */
};

/* 0; or -1 with *why: an id out of range or twice, a name twice, out of memory. */
int vocab_add(struct vocab *v, struct str name, int64_t id, const char **why);
int32_t vocab_find(const struct vocab *v, struct str name);     /* -1: none */
/* The same in three steps, so that the memory of several look-ups is fetched at
 * once: vocab_fetch twice, with a while in between, then vocab_find_hashed.  hash: bytes_hash of the name. */
void vocab_fetch(const struct vocab *v, uint64_t hash, int step);
int32_t vocab_find_hashed(const struct vocab *v, struct str name, uint64_t hash);
void vocab_release(struct vocab *v);

static inline struct str vocab_name(const struct vocab *v, int32_t id)
{
    return str_of(v->blob.s + v->name[id].at, v->name[id].size);
}

/* A merge: left and right become id; of all that are possible the lowest rank comes first. */
struct pair {
    uint64_t key;               /* left << 32 | right, plus 1; 0: empty */
    uint32_t rank, id;
};
enum { RANK_NONE = 0xffffffffu };

struct pairs {
    struct pair *pair;
    size_t mask;                /* slots - 1 */
    int shift;                  /* 64 - log2(slots) */
};

#define PAIR_MIX 0x9e3779b97f4a7c15u

/* triple: n times left, right, id, in order of rank; of equal pairs the last
 * counts.  -1: out of memory; -2: too many of one hash. */
int pairs_make(struct pairs *p, const int32_t (*triple)[3], size_t n);
void pairs_release(struct pairs *p);

static inline const struct pair *pairs_find(const struct pairs *p, uint32_t left, uint32_t right)
{
    uint64_t key = ((uint64_t)left << 32 | right) + 1;
    size_t i = (size_t)(key * PAIR_MIX >> p->shift);

    while (p->pair[i].key && p->pair[i].key != key)
        i = (i + 1) & p->mask;
    return &p->pair[i];         /* key 0: no such merge */
}

/* A hash of bytes, eight at a time; the upper bits are the better ones. */
static inline uint64_t bytes_hash(const char *s, size_t n)
{
    const uint64_t k = 0x9e3779b97f4a7c15u;
    uint64_t h = n * k, w, tail;
    uint32_t a, b;

    for (; n > 8; s += 8, n -= 8) {
        memcpy(&w, s, 8);
        h = (h ^ w) * k;
        h ^= h >> 29;
    }
    if (n >= 4) {               /* the first and the last four may overlap */
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        tail = (uint64_t)a << 32 | b;
    } else {
        tail = n ? (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n / 2] << 8 |
                   (unsigned char)s[n - 1] : 0;
    }
    h = (h ^ tail) * k;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

#endif
