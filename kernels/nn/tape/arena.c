/* kernels/nn/tape/arena.c - the memory of a step: one map, every place in it known beforehand
 *
 * A dry run hands out addresses of memory that is not there, and notes who takes
 * and gives when; from that layout.c makes the map of the run itself, which takes
 * and gives the same in the same order, or fails. */
#include "kernels/nn/tape/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct block {
    struct block *next;
    size_t used, size;
    max_align_t data[];
};

enum { ALIGN = 64, BLOCK = 256 << 10 };
static const uintptr_t NOWHERE = 1 << 20;   /* base of a dry run, 64 bytes for each that is taken: never read */

static size_t padded(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static void poison(struct tape *t, void *p, size_t bytes)
{
    if (t->poison && !t->dry)
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            ((float *)p)[i] = NAN;
}

static void *take_dry(struct tape *t, size_t size)
{
    if (layout_add(t->layout, size, t->event++)) {
        tape_fail(t, "out of memory");
        return NULL;
    }
    return (void *)(NOWHERE + (t->layout->n - 1) * ALIGN);
}

void *arena_take(struct tape *t, size_t bytes)
{
    if (t->failed)
        return NULL;
    size_t size = padded(bytes ? bytes : 1);
    t->used += size;
    t->high = t->used > t->high ? t->used : t->high;
    if (t->dry)
        return take_dry(t, size);
    const struct spot *s = t->layout->spot + t->taken;
    if (t->taken >= t->layout->n || s->size != size || s->from != t->event) {
        tape_fail(t, "the step takes memory in another order than its dry run");
        return NULL;
    }
    t->taken++;
    t->event++;
    void *p = t->base + s->at;
    poison(t, p, bytes);
    return p;
}

void arena_give(struct tape *t, void *p, size_t bytes)
{
    if (t->failed || !p)
        return;
    t->used -= padded(bytes ? bytes : 1);
    if (t->dry)
        t->layout->spot[((uintptr_t)p - NOWHERE) / ALIGN].to = t->event;
    t->event++;
    poison(t, p, bytes);
}

void *arena_lend(struct tape *t, size_t bytes)
{
    t->lent += padded(bytes);
    return arena_take(t, bytes);
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
static void unlend(struct tape *t)
{
    while (t->borrower)
        param_unlend(t->borrower);
}

void tape_begin(struct tape *t, enum tape_mode mode, uint64_t key)
{
    t->mode = mode;
    t->narrow = mode == TAPE_TRAIN && t->compute->bf16;
    t->key = key;
    t->op = 0;
    t->failed = t->no_record = t->replaying = false;
    t->last = NULL;
    t->made = NULL;
    t->later = NULL;
    unlend(t);
    t->used = t->high = t->lent = t->event = t->taken = 0;
    t->plan = (struct tape_plan){ 0 };
    t->block = t->blocks;
    if (t->block)
        t->block->used = 0;
}

static int arena_grow(struct tape *t, size_t size)
{
    if (size <= t->size)
        return 0;
    size_t huge = (size_t)2 << 20;
    /* places of shorter rows may reach a little higher than those of the longest; untouched it costs nothing */
    size += size / 16;
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

typedef void run_fn(struct tape *t, void *ctx);

static void run_dry(struct tape *t, enum tape_mode mode, uint64_t key, run_fn *run, void *ctx, bool late)
{
    t->dry = true;
    t->late = late;
    t->layout = t->layouts + late;
    layout_clear(t->layout);
    tape_begin(t, mode, key);
    run(t, ctx);
    t->dry = false;
    unlend(t);
    if (!t->failed && layout_place(t->layout))
        tape_fail(t, "out of memory");
    t->plan.arena = t->layout->size;
    t->plan.used = t->high;
}

/* If gradients are lent both ways of t->late are tried: the one that takes less is the run's. */
static int run_plan(struct tape *t, enum tape_mode mode, uint64_t key, run_fn *run, void *ctx, struct tape_plan *plan,
                    char why[WHY])
{
    run_dry(t, mode, key, run, ctx, false);
    struct tape_plan early = t->plan;
    if (!t->failed && t->lent) {
        run_dry(t, mode, key, run, ctx, true);
        if (!t->failed && early.arena <= t->plan.arena) {
            t->late = false;
            t->layout = t->layouts;
            t->plan = early;
        }
    }
    if (plan)
        *plan = t->plan;
    if (t->failed || arena_grow(t, t->plan.arena)) {
        memcpy(why, t->why, WHY);
        return -1;
    }
    return 0;
}

int tape_reserve(struct tape *t, enum tape_mode mode, void (*run)(struct tape *t, void *ctx), void *ctx,
                 struct tape_plan *plan, char why[WHY])
{
    return run_plan(t, mode, 0, run, ctx, plan, why);
}

int tape_run(struct tape *t, enum tape_mode mode, uint64_t key, void (*run)(struct tape *t, void *ctx), void *ctx,
             char why[WHY])
{
    if (run_plan(t, mode, key, run, ctx, NULL, why))
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
    unlend(t);
    if (t->base)
        munmap(t->base, t->size);
    layout_free(t->layouts);
    layout_free(t->layouts + 1);
    for (struct block *b = t->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(t);
}
