/* tests/unit/layout_test.c - places in one map: none twice at a time, few gaps, the same for the same */
#include "kernels/nn/random.h"
#include "kernels/nn/tape/layout.h"
#include "tests/unit/tap.h"

#include <stdint.h>
#include <stdlib.h>

enum { STEPS = 400 };

/* What a step does: lives that nest, as forward and backward, and others that cross them. */
static void spots_make(struct layout *l, uint64_t seed, size_t cuts)
{
    layout_clear(l);
    size_t event = 0;
    for (size_t i = 0; i < STEPS; i++) {
        layout_add(l, 64 * (1 + (size_t)(random_uniform(seed, 2 * i) * 100)), event++);
        if (i % 3 == 2)                         /* short */
            l->spot[i].to = event++;
    }
    for (size_t i = 0; i < cuts; i++)
        layout_cut(l, (i + 1) * 2 * event / (cuts + 1));
    for (size_t i = STEPS; i-- > 0;)
        if (l->spot[i].to == SIZE_MAX && random_uniform(seed, 2 * i + 1) < 0.9f) {
            l->spot[i].to = event++;
            layout_add(l, 64 * (1 + i % 40), event++);      /* a gradient: to the end */
        }
}

static size_t used_most(const struct layout *l)
{
    size_t most = 0;
    for (size_t i = 0; i < l->n; i++) {
        size_t used = 0;
        for (size_t j = 0; j < l->n; j++)
            used += l->spot[j].from <= l->spot[i].from && l->spot[i].from < l->spot[j].to ? l->spot[j].size : 0;
        most = used > most ? used : most;
    }
    return most;
}

static size_t clashes(const struct layout *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; j < i; j++) {
            const struct spot *a = l->spot + i, *b = l->spot + j;
            n += a->from < b->to && b->from < a->to && a->at < b->at + b->size && b->at < a->at + a->size;
        }
    return n;
}

int main(void)
{
    struct layout l = { 0 };
    ok(layout_place(&l) == 0 && l.size == 0, "nothing has its place");
    for (uint64_t seed = 1; seed <= 4; seed++) {
        spots_make(&l, seed, 0);
        ok(layout_place(&l) == 0, "%zu spots are placed", l.n);
        size_t used = used_most(&l), end = 0, size = l.size, *at = malloc(l.n * sizeof *at), differ = 0, odd = 0;
        for (size_t i = 0; i < l.n; i++) {
            at[i] = l.spot[i].at;
            odd += at[i] % 64;
            end = at[i] + l.spot[i].size > end ? at[i] + l.spot[i].size : end;
        }
        is_int((long long)clashes(&l), 0, "no two share bytes while both live");
        ok(end == size && !odd && size >= used && size * 100 <= used * 110,
           "size %zu, used at once %zu: at most 10 %% of gaps", size, used);
        static const size_t cuts[] = { 0, 0, 3, 2 * LAYOUT_CUTS };
        for (int again = 0; again < 4; again++) {
            if (again) {                        /* others in between */
                spots_make(&l, seed + 10, 0);
                layout_place(&l);
            }
            spots_make(&l, seed, cuts[again]);
            differ += layout_place(&l) != 0 || l.size != size;
            for (size_t i = 0; i < l.n; i++)
                differ += l.spot[i].at != at[i];
        }
        is_int((long long)differ, 0, "the same spots have the same places again, however they are cut");
        free(at);
    }
    layout_free(&l);
    return done();
}
