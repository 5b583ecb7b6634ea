/* tests/unit/plan_test.c - units cut epochs as promised; shuffles are permutations, and stay what they are */
#include <stdlib.h>

#include "libcommon/plan/plan.h"
#include "tests/unit/tap.h"

static bool bijective(const struct plan *p, uint64_t epoch)
{
    unsigned char *seen = calloc(p->items, 1);
    bool good = seen != NULL;
    for (uint64_t i = 0; good && i < p->items; i++) {
        uint64_t item = plan_item(p, epoch, i);
        good = item < p->items && !seen[item]++;
    }
    free(seen);
    return good;
}

static void shuffle_is_a_permutation(void)
{
    static const uint64_t sizes[] = { 1, 2, 3, 7, 15, 16, 17, 255, 256, 257, 1000, 65536, 65537, 300000 };
    bool good = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct plan p = { .items = sizes[i], .epochs = 3, .unit = 1, .shuffle = true, .seed = seed };
            good = good && bijective(&p, 0) && bijective(&p, 2);
        }
    ok(good, "a shuffle meets every item once, for sizes 1 to 300000, seeds and epochs");
    struct plan big = { .items = (UINT64_C(1) << 62) + 12345, .epochs = 1, .unit = 1, .shuffle = true, .seed = 9 };
    good = true;
    for (uint64_t i = 0; i < 1000; i++)
        good = good && plan_item(&big, 0, big.items - 1 - i) < big.items;
    ok(good, "2^62 items stay in range");
}

/* Each of the 24 orders of 4 items should come up in 1/24 of the epochs. */
static void shuffle_is_fair(void)
{
    int count[256] = { 0 }, kinds = 0;
    bool good = true;
    struct plan p = { .items = 4, .epochs = 24000, .unit = 1, .shuffle = true, .seed = 42 };
    for (uint64_t epoch = 0; epoch < p.epochs; epoch++) {
        unsigned code = 0;
        for (uint64_t i = 0; i < 4; i++)
            code = code << 2 | (unsigned)plan_item(&p, epoch, i);
        count[code]++;
    }
    for (int i = 0; i < 256; i++) {
        kinds += count[i] > 0;
        good = good && (!count[i] || (count[i] > 850 && count[i] < 1150));
    }
    ok(kinds == 24 && good, "all 24 orders of 4 items come up, each about as often (%d kinds)", kinds);
    double fixed = 0;
    p = (struct plan){ .items = 1000, .epochs = 200, .unit = 1, .shuffle = true, .seed = 1 };
    for (uint64_t epoch = 0; epoch < p.epochs; epoch++)
        for (uint64_t i = 0; i < p.items; i++)
            fixed += plan_item(&p, epoch, i) == i;
    ok(fixed / 200 > 0.6 && fixed / 200 < 1.4, "one item in a shuffle stays where it was, on average (%.2f)", fixed / 200);
}

static void shuffle_stays(void)
{
    struct plan p = { .items = 10, .epochs = 2, .unit = 1, .shuffle = true, .seed = 1 };
    char got[64] = "";
    for (uint64_t epoch = 0; epoch < 2; epoch++)
        for (uint64_t i = 0; i < 10; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%llu", (unsigned long long)plan_item(&p, epoch, i));
    is_str(got, "13208674953472589106", "version 1 of the shuffle, seed 1, two epochs of ten, is what it always was");
}

static void units_cut_epochs(void)
{
    struct plan p = { .items = 10, .epochs = 3, .unit = 4 };
    is_int((long long)plan_units_an_epoch(&p), 3, "ten items, four a unit, are three units");
    is_int((long long)plan_units(&p), 9, "and nine in three epochs");
    bool good = true;
    uint64_t items = 0;
    for (uint64_t q = 0; q < 9; q++) {
        struct plan_slice s = plan_slice(&p, q);
        good = good && s.epoch == q / 3 && s.first == q % 3 * 4 && s.k == (q % 3 == 2 ? 2 : 4);
        items += s.k;
    }
    ok(good && items == 30, "no unit straddles an epoch, the last of each is short, all items are there");
    p.unit = 1000;
    is_int((long long)plan_slice(&p, 1).k, 10, "a unit larger than the epoch holds the epoch");
    ok(plan_item(&p, 1, 7) == 7, "without a shuffle items keep their order");
}

static void nonsense_is_refused(void)
{
    struct error e;
    struct plan p = { .items = 0, .epochs = 1, .unit = 1 };
    ok(plan_check(&p, &e) < 0 && e.status == STATUS_BAD, "a plan without items is refused");
    p = (struct plan){ .items = UINT64_C(1) << 40, .epochs = UINT64_C(1) << 30, .unit = 1 };
    ok(plan_check(&p, &e) < 0, "a run that overflows is refused");
    p.epochs = 1;
    ok(plan_check(&p, &e) == 0, "2^40 items are fine");
}

int main(void)
{
    shuffle_is_a_permutation();
    shuffle_is_fair();
    shuffle_stays();
    units_cut_epochs();
    nonsense_is_refused();
    return done();
}
