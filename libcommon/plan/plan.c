/* libcommon/plan/plan.c - see plan.h
 *
 * Shuffling is a keyed permutation of [0, items): a balanced Feistel network on
 * the next even number of bits, walked along its cycle until the value is in
 * range (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).  At
 * least 8 bits, because fewer leave a network hardly any permutations. */
#include "libcommon/plan/plan.h"

enum { ROUNDS = 8, HALF_BITS_MIN = 4 };

/* The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that mixes all bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t feistel(uint64_t x, unsigned half, uint64_t key)
{
    uint64_t mask = (UINT64_C(1) << half) - 1, left = x >> half, right = x & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t t = left ^ (mix(mix(key + round) ^ right) & mask);
        left = right;
        right = t;
    }
    return left << half | right;
}

static uint64_t permuted(uint64_t x, uint64_t n, uint64_t key)
{
    unsigned half = HALF_BITS_MIN;
    while (2 * half < 64 && (n - 1) >> (2 * half))
        half++;
    do
        x = feistel(x, half, key);
    while (x >= n);
    return x;
}

int plan_check(const struct plan *p, struct error *e)
{
    uint64_t all;
    if (!p->items || !p->epochs || !p->unit)
        return error_set(e, STATUS_BAD, "a plan of nothing: %llu items, %llu epochs, %llu a unit",
                         (unsigned long long)p->items, (unsigned long long)p->epochs, (unsigned long long)p->unit);
    if (__builtin_mul_overflow(p->items, p->epochs, &all) || all >> 63)
        return error_set(e, STATUS_BAD, "%llu items in %llu epochs are too many", (unsigned long long)p->items,
                         (unsigned long long)p->epochs);
    return 0;
}

uint64_t plan_units_an_epoch(const struct plan *p)
{
    return (p->items - 1) / p->unit + 1;
}

uint64_t plan_units(const struct plan *p)
{
    return plan_units_an_epoch(p) * p->epochs;
}

struct plan_slice plan_slice(const struct plan *p, uint64_t q)
{
    uint64_t each = plan_units_an_epoch(p);
    struct plan_slice s = { .epoch = q / each, .first = q % each * p->unit };
    uint64_t left = p->items - s.first;
    s.k = left < p->unit ? left : p->unit;
    return s;
}

uint64_t plan_item(const struct plan *p, uint64_t epoch, uint64_t position)
{
    return p->shuffle ? permuted(position, p->items, mix(mix(p->seed) ^ epoch)) : position;
}
