/* kernels/nn/random.h - keyed random numbers: a hash of what they belong to, never the state of a worker
 *
 * The mixing step is SplitMix64's (G. Steele, D. Lea, C. Flood, 2014). */
#ifndef PENSTOCK_RANDOM_H
#define PENSTOCK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t random_key(uint64_t a, uint64_t b) { return random_mix(random_mix(a) ^ b); }

static inline uint64_t random_text(uint64_t seed, const char *text, size_t n)
{
    uint64_t h = random_mix(seed);
    for (size_t i = 0; i < n; i++)
        h = random_mix(h ^ (uint8_t)text[i]);
    return h;
}

/* The i-th of a key: uniform in [0, 1), 24 bits. */
static inline float random_uniform(uint64_t key, uint64_t i)
{
    return (float)(random_mix(key + i * 0xd1342543de82ef95u) >> 40) * 0x1p-24f;
}

#endif
