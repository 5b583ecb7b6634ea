/* kernels/text/tokenizer/bpe.h - byte pair encoding of one word: symbols are merged, lowest rank first
 *
 * Of all neighbours that have a merge, the pair of lowest rank, the leftmost of
 * equals, becomes one symbol, until none is left.  A heap of candidates over a
 * linked list: O(n log n), for words of 10 kB exist. */
#ifndef PENSTOCK_BPE_H
#define PENSTOCK_BPE_H

#include "kernels/text/tokenizer/vocab.h"

struct bpe_node {
    int32_t symbol;
    uint32_t before, next;      /* neighbours; BPE_END at either end */
    uint32_t rank;              /* of the merge with the next; RANK_NONE if there is none or this node is gone */
    int32_t merged;             /* what that merge makes */
};
#define BPE_END UINT32_MAX

struct bpe {                    /* scratch: starts as { 0 } */
    struct bpe_node *node;
    size_t nodes, node_room;
    uint64_t *heap;             /* rank << 32 | node */
    size_t heaps, heap_room;
};

/* The next symbol of the word; bpe->nodes = 0 begins a new one.  -1: out of memory. */
int bpe_add(struct bpe *b, int32_t symbol);
/* Merges and appends the ids to `out`.  -1: out of memory. */
int bpe_run(struct bpe *b, const struct pairs *pairs, struct tokens *out);
void bpe_release(struct bpe *b);

#endif
