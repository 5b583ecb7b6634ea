/* tests/unit/control_test.c - control maps read the quick way and the thorough one: the same */
#include "libcommon/stream/format/control.h"
#include "tap.h"

static uint64_t state = 1;

static uint64_t random_bits(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 16 >> state % 48;           /* of all sizes */
}

static bool same(const struct control *a, const struct control *b)
{
    return a->type == b->type && a->q == b->q && a->e == b->e && a->k == b->k && a->n == b->n && a->c == b->c;
}

/* What the quick way takes the thorough one takes, too, with the same values. */
static bool agree(struct span bytes)
{
    struct control quick, thorough;
    struct error e;
    size_t n = control_quick(bytes, &quick);
    return !n || (n <= bytes.size && control_read(span_of(bytes.data, n), &thorough, &e) == 0 && same(&quick, &thorough));
}

int main(void)
{
    struct buf b;
    int read_wrong = 0, cut = 0, changed = 0, taken = 0;
    buf_init(&b, CONTROL_MAX);
    for (int i = 0; i < 2000; i++) {
        struct control got, c = { .type = CONTROL_DATA, .q = random_bits(), .e = random_bits(),
                                  .k = random_bits() % (UNIT_SAMPLES + 1),
                                  .n = random_bits() % (UNIT_MAX + 1), .c = (uint32_t)random_bits() };
        buf_clear(&b);
        control_put(&b, &c);
        size_t n = b.size;
        buf_append(&b, "behind it", 9);
        read_wrong += control_quick(span_of(b.data, b.size), &got) != n || !same(&c, &got);
        for (size_t k = 0; k < n; k++)
            cut += control_quick(span_of(b.data, k), &got) != 0;
        for (int k = 0; k < 50; k++) {
            uint8_t *at = b.data + random_bits() % n, had = *at;
            *at = (uint8_t)random_bits();
            changed += !agree(span_of(b.data, b.size));
            taken += control_quick(span_of(b.data, b.size), &got) != 0;
            *at = had;
        }
    }
    ok(read_wrong == 0, "what control_put wrote is read: %d of 2000 were not", read_wrong);
    ok(cut == 0, "what is cut short is not: %d were", cut);
    ok(changed == 0 && taken > 1000, "with a byte changed (%d of 100000 are still maps) both ways agree: %d did not",
       taken, changed);

    struct control got;
    const struct control large[] = { { .n = UNIT_MAX + 1ull }, { .k = UNIT_SAMPLES + 1ull } }, end = { .type = CONTROL_END };
    for (int i = 0; i < 2; i++) {
        buf_clear(&b);
        control_put(&b, &large[i]);
        ok(control_quick(span_of(b.data, b.size), &got) == 0, "a %s out of range is left to control_read",
           i ? "number of samples" : "size");
    }
    buf_clear(&b);
    control_put(&b, &end);
    ok(control_quick(span_of(b.data, b.size), &got) == 0, "and so is an end");
    buf_release(&b);
    return done();
}
