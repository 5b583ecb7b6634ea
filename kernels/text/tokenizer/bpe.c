/* kernels/text/tokenizer/bpe.c - see bpe.h */
#include "kernels/text/tokenizer/bpe.h"

#include <stdlib.h>

int bpe_add(struct bpe *b, int32_t symbol)
{
    if (grow(&b->node, &b->node_room, b->nodes, 1, sizeof *b->node))
        return -1;
    b->node[b->nodes++].symbol = symbol;
    return 0;
}

static void sift_down(uint64_t *heap, size_t n, size_t at)
{
    uint64_t v = heap[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= v)
            break;
        heap[at] = heap[child];
    }
    heap[at] = v;
}

static void push(struct bpe *b, uint64_t v)
{
    size_t at = b->heaps++;

    for (; at && b->heap[(at - 1) / 2] > v; at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = v;
}

static uint64_t pop(struct bpe *b)
{
    uint64_t v = b->heap[0];

    b->heap[0] = b->heap[--b->heaps];
    if (b->heaps)
        sift_down(b->heap, b->heaps, 0);
    return v;
}

/* Looks up the merge of node i with its next. */
static void rank(struct bpe *b, const struct pairs *pairs, uint32_t i)
{
    struct bpe_node *node = &b->node[i];
    const struct pair *p;

    node->rank = RANK_NONE;
    if (node->next == BPE_END)
        return;
    p = pairs_find(pairs, (uint32_t)node->symbol, (uint32_t)b->node[node->next].symbol);
    if (p->key) {
        node->rank = p->rank;
        node->merged = (int32_t)p->id;
    }
}

/* Node i swallows its next. */
static void join(struct bpe *b, uint32_t i)
{
    struct bpe_node *node = &b->node[i], *gone = &b->node[node->next];

    node->symbol = node->merged;
    gone->rank = RANK_NONE;
    node->next = gone->next;
    if (node->next != BPE_END)
        b->node[node->next].before = i;
}

int bpe_run(struct bpe *b, const struct pairs *pairs, struct tokens *out)
{
    uint32_t n = (uint32_t)b->nodes;

    /* each join removes a node and adds two candidates at most */
    if (!n)
        return 0;
    if (grow(&b->heap, &b->heap_room, 0, 2 * b->nodes, sizeof *b->heap) || tokens_reserve(out, n))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        b->node[i].before = i ? i - 1 : BPE_END;
        b->node[i].next = i + 1 < n ? i + 1 : BPE_END;
    }
    b->heaps = 0;
    for (uint32_t i = 0; i < n; i++) {
        rank(b, pairs, i);
        if (b->node[i].rank != RANK_NONE)
            b->heap[b->heaps++] = (uint64_t)b->node[i].rank << 32 | i;
    }
    for (size_t i = b->heaps / 2; i-- > 0;)
        sift_down(b->heap, b->heaps, i);

    while (b->heaps) {
        uint64_t top = pop(b);
        uint32_t i = (uint32_t)top, before;
        if (b->node[i].rank != (uint32_t)(top >> 32))
            continue;                   /* one of the two was merged away meanwhile */
        join(b, i);
        rank(b, pairs, i);
        if (b->node[i].rank != RANK_NONE)
            push(b, (uint64_t)b->node[i].rank << 32 | i);
        before = b->node[i].before;
        if (before != BPE_END) {
            rank(b, pairs, before);
            if (b->node[before].rank != RANK_NONE)
                push(b, (uint64_t)b->node[before].rank << 32 | before);
        }
    }
    for (uint32_t i = 0; i != BPE_END; i = b->node[i].next)
        out->id[out->n++] = b->node[i].symbol;
    return 0;
}

void bpe_release(struct bpe *b)
{
    free(b->node);
    free(b->heap);
    *b = (struct bpe){ 0 };
}
