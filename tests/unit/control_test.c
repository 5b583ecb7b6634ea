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

/* As control_at: the whole map walked, then read. */
static ssize_t thorough(struct span bytes, struct control *c, uint64_t *need)
{
    struct mp_walk walk = { 0 };
    struct error e;
    int got = mp_walk_map(&walk, bytes, CONTROL_MAX, "a map", need, &e);
    if (got < 1)
        return got;
    return control_read(span_of(bytes.data, (size_t)walk.at), c, &e) < 0 ? -1 : (ssize_t)walk.at;
}

static bool agree(struct span bytes)
{
    struct control a, b;
    struct error e;
    uint64_t need_a, need_b;
    ssize_t n = control_at(bytes, &a, &need_a, &e);
    return n == thorough(bytes, &b, &need_b) && (n < 1 || same(&a, &b)) && (n != 0 || need_a == need_b);
}

static void written_maps(struct buf *b)
{
    int read_wrong = 0, cut = 0, changed = 0, taken = 0;
    struct error e;
    uint64_t need;
    for (int i = 0; i < 2000; i++) {
        struct control got, c = { .type = CONTROL_DATA, .q = random_bits(), .e = random_bits(),
                                  .k = random_bits() % (UNIT_SAMPLES + 1),
                                  .n = random_bits() % (UNIT_MAX + 1), .c = (uint32_t)random_bits() };
        buf_clear(b);
        control_put(b, &c);
        size_t n = b->size;
        buf_append(b, "behind it", 9);
        read_wrong += control_at(span_of(b->data, b->size), &got, &need, &e) != (ssize_t)n || !same(&c, &got);
        for (size_t k = 0; k < n; k++)
            cut += control_at(span_of(b->data, k), &got, &need, &e) != 0 || need <= k || need > n;
        for (int k = 0; k < 50; k++) {
            uint8_t *at = b->data + random_bits() % n, had = *at;
            *at = (uint8_t)random_bits();
            changed += !agree(span_of(b->data, b->size));
            taken += control_at(span_of(b->data, b->size), &got, &need, &e) > 0;
            *at = had;
        }
    }
    ok(read_wrong == 0, "what control_put wrote is read: %d of 2000 were not", read_wrong);
    ok(cut == 0, "of what is cut short more is asked for, and no more than there is: %d times not", cut);
    ok(changed == 0 && taken > 1000, "with a byte changed (%d of 100000 are still maps) both ways agree: %d did not",
       taken, changed);
}

int main(void)
{
    struct buf b;
    struct error e;
    uint64_t need;
    struct control got;
    const struct control large[] = { { .n = UNIT_MAX + 1ull }, { .k = UNIT_SAMPLES + 1ull } },
                         end = { .type = CONTROL_END, .end = { 1, 2, 3 }, .c = 4 };
    buf_init(&b, CONTROL_MAX + 100);
    written_maps(&b);
    for (int i = 0; i < 2; i++) {
        buf_clear(&b);
        control_put(&b, &large[i]);
        ok(control_at(span_of(b.data, b.size), &got, &need, &e) < 0 && strstr(e.text, "over the limit"),
           "a %s out of range is told", i ? "number of samples" : "size");
    }
    buf_clear(&b);
    control_put(&b, &end);
    ok(control_at(span_of(b.data, b.size), &got, &need, &e) == (ssize_t)b.size && got.type == CONTROL_END &&
       got.end.units == 1 && got.end.samples == 2 && got.end.errors == 3 && got.c == 4, "an end is read by the same call");
    buf_clear(&b);
    mp_put_map(&b, 1);
    mp_put_str(&b, "t");
    for (int i = 0; i < CONTROL_MAX; i++)
        mp_put_array(&b, 1);
    ok(control_at(span_of(b.data, b.size), &got, &need, &e) < 0, "a map that is nested without end is refused");
    buf_clear(&b);
    mp_put_map(&b, 1);
    mp_put_str(&b, "t");
    mp_put_bin_head(&b, CONTROL_MAX);
    ok(control_at(span_of(b.data, b.size), &got, &need, &e) < 0 && strstr(e.text, "larger than"),
       "one that would be larger than a control map may be is, before it is there");
    ok(control_at(span_of((const uint8_t *)"\xd9\xff", 2), &got, &need, &e) < 0 && strstr(e.text, "was expected"),
       "what is no map is told before the length that stands there is believed");
    buf_release(&b);
    return done();
}
