/* kernels/text/tokenizer/vocab.c - see vocab.h */
#include "kernels/text/tokenizer/vocab.h"

#include <stdbool.h>
#include <stdlib.h>

enum { PROBES_MAX = 2000 };     /* more equal hashes than chance gives: a file made to be slow */

/* The slot of the name, or the empty one where it belongs; -1 after too many. */
static ptrdiff_t slot_find(const struct vocab *v, struct str name, uint64_t hash)
{
    size_t i = (size_t)hash & (v->slots - 1);

    for (int probe = 0; probe < PROBES_MAX; probe++, i = (i + 1) & (v->slots - 1)) {
        uint64_t s = v->slot[i];
        if (!s)
            return (ptrdiff_t)i;
        if (s >> 32 == hash >> 32) {
            struct str old = vocab_name(v, (int32_t)(uint32_t)s - 1);
            if (old.n == name.n && (!name.n || !memcmp(old.s, name.s, name.n)))
                return (ptrdiff_t)i;
        }
    }
    return -1;
}

static int slots_grow(struct vocab *v)
{
    size_t slots = v->slots ? v->slots * 4 : 1024;
    uint64_t *slot = calloc(slots, sizeof *slot);

    if (!slot)
        return -1;
    for (size_t id = 0; id < v->n; id++) {
        size_t i;
        if (v->name[id].at == VOCAB_HOLE)
            continue;
        struct str name = vocab_name(v, (int32_t)id);
        uint64_t hash = bytes_hash(name.s, name.n);
        for (i = (size_t)hash & (slots - 1); slot[i]; i = (i + 1) & (slots - 1))
            ;
        slot[i] = hash >> 32 << 32 | (id + 1);
    }
    free(v->slot);
    v->slot = slot;
    v->slots = slots;
    return 0;
}

int vocab_add(struct vocab *v, struct str name, int64_t id, const char **why)
{
    uint64_t hash = bytes_hash(name.s, name.n);
    ptrdiff_t i;

    *why = "out of memory";
    if (v->used * 2 >= v->slots && slots_grow(v))
        return -1;
    if (id < 0 || id >= VOCAB_MAX) {
        *why = "a token's id is out of range";
        return -1;
    }
    if ((i = slot_find(v, name, hash)) < 0) {
        *why = "too many tokens with one hash";
        return -1;
    }
    if (v->slot[i]) {
        *why = "two tokens of one name";
        return -1;
    }
    if ((size_t)id >= v->n) {
        if (grow(&v->name, &v->room, v->n, (size_t)id + 1 - v->n, sizeof *v->name))
            return -1;
        for (; v->n <= (size_t)id; v->n++)
            v->name[v->n] = (struct name){ VOCAB_HOLE, 0 };
    }
    if (v->name[id].at != VOCAB_HOLE) {
        *why = "two tokens of one id";
        return -1;
    }
    if (v->blob.n + name.n >= VOCAB_HOLE || text_add(&v->blob, name.s, name.n))
        return -1;
    v->name[id] = (struct name){ (uint32_t)(v->blob.n - name.n), (uint32_t)name.n };
    v->slot[i] = hash >> 32 << 32 | (uint64_t)(id + 1);
    v->used++;
    return 0;
}

int32_t vocab_find_hashed(const struct vocab *v, struct str name, uint64_t hash)
{
    ptrdiff_t i;

    if (!v->slots)
        return -1;
    i = slot_find(v, name, hash);
    return i < 0 || !v->slot[i] ? -1 : (int32_t)(uint32_t)v->slot[i] - 1;
}

int32_t vocab_find(const struct vocab *v, struct str name)
{
    return vocab_find_hashed(v, name, bytes_hash(name.s, name.n));
}

void vocab_fetch(const struct vocab *v, uint64_t hash, int step)
{
    uint64_t s;

    if (!v->slots)
        return;
    if (step == 0) {
        __builtin_prefetch(&v->slot[hash & (v->slots - 1)]);
        return;
    }
    s = v->slot[hash & (v->slots - 1)];     /* the likeliest slot: what it says may be another token's */
    if (!s)
        return;
    if (step == 1)
        __builtin_prefetch(&v->name[(uint32_t)s - 1]);
    else
        __builtin_prefetch(v->blob.s + v->name[(uint32_t)s - 1].at);
}

void vocab_release(struct vocab *v)
{
    text_release(&v->blob);
    free(v->name);
    free(v->slot);
    *v = (struct vocab){ 0 };
}

int pairs_make(struct pairs *p, const int32_t (*triple)[3], size_t n)
{
    size_t slots = 16;

    p->shift = 60;
    while (slots < n * 2) {
        slots *= 2;
        p->shift--;
    }
    p->mask = slots - 1;
    p->pair = calloc(slots, sizeof *p->pair);
    if (!p->pair)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = ((uint64_t)(uint32_t)triple[i][0] << 32 | (uint32_t)triple[i][1]) + 1;
        size_t at = (size_t)(key * PAIR_MIX >> p->shift);
        for (int probe = 0; p->pair[at].key && p->pair[at].key != key; at = (at + 1) & p->mask)
            if (probe++ == PROBES_MAX)
                return -2;
        p->pair[at] = (struct pair){ key, (uint32_t)i, (uint32_t)triple[i][2] };
    }
    return 0;
}

void pairs_release(struct pairs *p)
{
    free(p->pair);
    *p = (struct pairs){ 0 };
}
