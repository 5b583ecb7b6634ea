/* kernels/nn/arena.c - the memory of a step: a free list over one map, the same in a dry run
 *
 * A dry run hands out addresses of memory that is not there; what it needs at most
 * is what the map is then made as large as.  Smallest fitting hole first, the lower
 * of equals: the same sequence of calls always gives the same offsets. */
#include "kernels/nn/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct hole { size_t at, size; };

struct block {
    struct block *next;
    size_t used, size;
    max_align_t data[];
};

enum { ALIGN = 64, BLOCK = 256 << 10 };
static const uintptr_t NOWHERE = 1 << 20;   /* base of a dry run: never read */

static uintptr_t arena_base(const struct tape *t) { return t->dry ? NOWHERE : (uintptr_t)t->base; }
static size_t padded(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static void poison(struct tape *t, void *p, size_t bytes)
{
    if (t->poison && !t->dry)
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            ((float *)p)[i] = NAN;
}

static int holes_insert(struct tape *t, size_t i, struct hole h)
{
    if (t->n_holes == t->room_holes) {
        size_t room = t->room_holes ? 2 * t->room_holes : 1024;
        struct hole *more = realloc(t->hole, room * sizeof *more);
        if (!more) {
            tape_fail(t, "out of memory");
            return -1;
        }
        t->hole = more;
        t->room_holes = room;
    }
    memmove(t->hole + i + 1, t->hole + i, (t->n_holes - i) * sizeof *t->hole);
    t->hole[i] = h;
    t->n_holes++;
    return 0;
}

static void holes_remove(struct tape *t, size_t i)
{
    t->n_holes--;
    memmove(t->hole + i, t->hole + i + 1, (t->n_holes - i) * sizeof *t->hole);
}

void *arena_take(struct tape *t, size_t bytes)
{
    if (t->failed)
        return NULL;
    size_t size = padded(bytes ? bytes : 1), best = t->n_holes;
    for (size_t i = 0; i < t->n_holes; i++)
        if (t->hole[i].size >= size && (best == t->n_holes || t->hole[i].size < t->hole[best].size))
            best = i;
    if (best == t->n_holes) {               /* cannot be: the last hole has no end */
        tape_fail(t, "the step wants more memory than there are addresses");
        return NULL;
    }
    size_t at = t->hole[best].at;
    t->hole[best].at += size;
    t->hole[best].size -= size;
    if (!t->hole[best].size)
        holes_remove(t, best);
    t->used += size;
    if (at + size > t->high)
        t->high = at + size;
    if (!t->dry && at + size > t->size) {
        tape_fail(t, "the step wants more memory than its dry run said");
        return NULL;
    }
    void *p = (void *)(arena_base(t) + at);
    poison(t, p, bytes);
    return p;
}

void arena_give(struct tape *t, void *p, size_t bytes)
{
    if (t->failed || !p)
        return;
    poison(t, p, bytes);
    struct hole h = { (uintptr_t)p - arena_base(t), padded(bytes ? bytes : 1) };
    t->used -= h.size;
    size_t low = 0, high = t->n_holes;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->hole[mid].at < h.at)
            low = mid + 1;
        else
            high = mid;
    }
    bool before = low > 0 && t->hole[low - 1].at + t->hole[low - 1].size == h.at;
    bool after = low < t->n_holes && h.at + h.size == t->hole[low].at;
    if (before && after) {
        t->hole[low - 1].size += h.size + t->hole[low].size;
        holes_remove(t, low);
    } else if (before) {
        t->hole[low - 1].size += h.size;
    } else if (after) {
        t->hole[low].at = h.at;
        t->hole[low].size += h.size;
    } else {
        holes_insert(t, low, h);
    }
}

void *tape_small(struct tape *t, size_t bytes)
{
    size_t size = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (t->failed)
        return NULL;
    while (t->block && t->block->used + size > t->block->size && t->block->next) {
        t->block = t->block->next;
        t->block->used = 0;
    }
    if (!t->block || t->block->used + size > t->block->size) {
        size_t room = size > BLOCK ? size : BLOCK;
        struct block *b = malloc(sizeof *b + room);
        if (!b) {
            tape_fail(t, "out of memory");
            return NULL;
        }
        *b = (struct block){ .size = room };
        if (t->block)
            t->block->next = b;
        else
            t->blocks = b;
        t->block = b;
    }
    void *p = (uint8_t *)t->block->data + t->block->used;
    t->block->used += size;
    return memset(p, 0, size);
}

/* --- runs ------------------------------------------------------------------------ */
void tape_begin(struct tape *t, enum tape_mode mode, uint64_t key)
{
    t->mode = mode;
    t->narrow = mode == TAPE_TRAIN && t->compute->bf16;
    t->key = key;
    t->op = 0;
    t->failed = t->no_record = t->replaying = false;
    t->last = NULL;
    t->made = NULL;
    t->used = t->high = 0;
    t->plan = (struct tape_plan){ 0 };
    t->block = t->blocks;
    if (t->block)
        t->block->used = 0;
    t->n_holes = 0;
    holes_insert(t, 0, (struct hole){ 0, SIZE_MAX / 2 });
}

static int arena_grow(struct tape *t, size_t size)
{
    if (size <= t->size)
        return 0;
    size_t huge = (size_t)2 << 20;
    size = size > huge ? (size + huge - 1) / huge * huge : size;
    if (t->base)
        munmap(t->base, t->size);
    t->size = 0;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    t->base = p == MAP_FAILED ? NULL : p;
    if (!t->base) {
        tape_fail(t, "out of memory: the step wants %zu MiB", size >> 20);
        return -1;
    }
#ifdef MADV_HUGEPAGE
    madvise(p, size, MADV_HUGEPAGE);
#endif
    t->size = size;
    return 0;
}

static int run_dry(struct tape *t, enum tape_mode mode, uint64_t key, void (*run)(struct tape *t, void *ctx), void *ctx,
                   struct tape_plan *plan, char why[WHY])
{
    t->dry = true;
    tape_begin(t, mode, key);
    run(t, ctx);
    t->dry = false;
    t->plan.arena = t->high;
    if (plan)
        *plan = t->plan;
    if (t->failed || arena_grow(t, t->high)) {
        memcpy(why, t->why, WHY);
        return -1;
    }
    return 0;
}

int tape_reserve(struct tape *t, enum tape_mode mode, void (*run)(struct tape *t, void *ctx), void *ctx,
                 struct tape_plan *plan, char why[WHY])
{
    return run_dry(t, mode, 0, run, ctx, plan, why);
}

int tape_run(struct tape *t, enum tape_mode mode, uint64_t key, void (*run)(struct tape *t, void *ctx), void *ctx,
             char why[WHY])
{
    if (run_dry(t, mode, key, run, ctx, NULL, why))
        return -1;
    tape_begin(t, mode, key);
    run(t, ctx);
    if (t->failed) {
        memcpy(why, t->why, WHY);
        return -1;
    }
    return 0;
}

void tape_free(struct tape *t)
{
    if (!t)
        return;
    if (t->base)
        munmap(t->base, t->size);
    free(t->hole);
    for (struct block *b = t->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(t);
}
