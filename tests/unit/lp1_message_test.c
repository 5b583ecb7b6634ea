/* tests/unit/lp1_message_test.c - LP1's control frames: what is written is read, what is hostile is refused */
#include <stdlib.h>

#include "libcommon/stream/format/mp.h"
#include "libcommon/stream/lp1/message.h"
#include "tap.h"

static struct lp1_message m, got;

static void fill(enum lp1_type t)
{
    lp1_message_init(&m, t, 0xfedcba9876543210u, 7);
    m.role = LP1_WORKER, m.slots = 16;
    m.nunit = 2;
    m.unit[0] = (struct lp1_unit){ .q = 1ull << 40, .e = 3, .k = 5, .n = 123456, .c = 0xdeadbeef };
    m.unit[1] = (struct lp1_unit){ .q = 7, .n = 1 };
    m.ok = 1, m.tail = 99, m.next = 1000, m.limit = 1064, m.commit = 900, m.total = LP1_UNKNOWN, m.final = 1,
        m.code = LP1_FENCED, m.done = 12;
    memcpy(m.run, "0123456789abcdef", 16);
    strcpy(m.text, "host-1:77");
    m.nlist = 3;
    m.list[0] = 5, m.list[1] = 1ull << 50, m.list[2] = 0;
    m.nsack = 2;
    m.sack[0] = (struct lp1_range){ 1001, 1003 };
    m.sack[1] = (struct lp1_range){ 1010, 1011 };
}

static int read_buf(const struct buf *b, bool *version, const char **why)
{
    *why = "";
    return lp1_message_read(span_of(b->data, b->size), &got, version, why);
}

static void each_type_comes_back(void)
{
    struct buf b, again;
    bool version;
    const char *why;
    buf_init(&b, 1 << 20);
    buf_init(&again, 1 << 20);
    for (int t = 0; t < LP1_TYPES; t++) {
        fill((enum lp1_type)t);
        buf_clear(&b);
        buf_clear(&again);
        lp1_message_write(&m, &b);
        int rc = read_buf(&b, &version, &why);
        if (rc == 0)
            lp1_message_write(&got, &again);
        ok(rc == 0 && b.size == again.size && !memcmp(b.data, again.data, b.size),
           "%s comes back as it was written: %s", lp1_type_name((enum lp1_type)t), why);
    }
    fill(LP1_RECV);
    m.nlist = LP1_LIST;
    for (size_t i = 0; i < LP1_LIST; i++)
        m.list[i] = UINT64_MAX - 1 - i;
    buf_clear(&b);
    lp1_message_write(&m, &b);
    ok(b.size <= LP1_CONTROL_MAX && read_buf(&b, &version, &why) == 0 && got.nlist == LP1_LIST &&
       got.list[255] == UINT64_MAX - 256, "the longest list fits a control frame: %zu bytes", b.size);
    fill(LP1_WORK);
    m.nunit = LP1_BATCH;
    for (size_t i = 0; i < LP1_BATCH; i++)
        m.unit[i] = (struct lp1_unit){ .q = UINT64_MAX - 1 - i, .e = UINT64_MAX, .k = UINT32_MAX,
                                       .n = LP1_BATCH_BYTES / LP1_BATCH, .c = UINT32_MAX };
    buf_clear(&b);
    lp1_message_write(&m, &b);
    ok(b.size <= LP1_CONTROL_MAX && read_buf(&b, &version, &why) == 0 && got.nunit == LP1_BATCH &&
       got.unit[63].q == UINT64_MAX - 64, "so do the most units: %zu bytes", b.size);
    fill(LP1_ACK);
    m.nsack = LP1_RANGES;
    for (size_t i = 0; i < LP1_RANGES; i++)
        m.sack[i] = (struct lp1_range){ (1ull << 60) + 2 * i, (1ull << 60) + 2 * i + 1 };
    buf_clear(&b);
    lp1_message_write(&m, &b);
    ok(b.size <= LP1_CONTROL_MAX && read_buf(&b, &version, &why) == 0 && got.nsack == LP1_RANGES &&
       got.sack[63].lo == (1ull << 60) + 126, "so do the most ranges: %zu bytes", b.size);
    buf_release(&b);
    buf_release(&again);
}

static void nothing_is_read_beyond_its_bytes(void)
{
    struct buf b;
    bool version;
    const char *why;
    size_t passed = 0;
    buf_init(&b, 1 << 20);
    for (int t = 0; t < LP1_TYPES; t++) {
        fill((enum lp1_type)t);
        buf_clear(&b);
        lp1_message_write(&m, &b);
        for (size_t n = 0; n < b.size; n++) {
            uint8_t *exact = malloc(n ? n : 1);         /* so that a sanitizer sees one byte too far */
            memcpy(exact, b.data, n);
            passed += lp1_message_read(span_of(exact, n), &got, &version, &why) == 0;
            free(exact);
        }
    }
    ok(passed == 0, "a frame cut anywhere is refused: %zu were not", passed);
    buf_release(&b);
}

/* Writes a map by a small language: each pair "key=number", "key:text", in `text` split by blanks. */
static void map_write(struct buf *b, const char *text)
{
    char copy[200], *at = copy;
    uint32_t n = 1;
    snprintf(copy, sizeof copy, "%s", text);
    for (const char *p = copy; *p; p++)
        n += *p == ' ';
    buf_clear(b);
    mp_put_map(b, n);
    for (char *pair; (pair = strsep(&at, " "));) {
        char *split = strpbrk(pair, "=:");
        mp_put_strn(b, pair, (size_t)(split - pair));
        if (*split == '=')
            mp_put_uint(b, strtoull(split + 1, NULL, 10));
        else
            mp_put_str(b, split + 1);
    }
}

static void refused(const char *text, const char *name)
{
    struct buf b;
    bool version;
    const char *why;
    buf_init(&b, 1 << 20);
    map_write(&b, text);
    int rc = read_buf(&b, &version, &why);
    ok(rc < 0, "%s is refused: %s", name, why);
    buf_release(&b);
}

/* DATA of so many units, each with this q and so many bytes. */
static void units_refused(size_t units, uint64_t q, uint64_t n, const char *name)
{
    struct buf b;
    bool version;
    const char *why;
    fill(LP1_DATA);
    m.nunit = units;
    for (size_t i = 0; i < units; i++)
        m.unit[i] = (struct lp1_unit){ .q = q, .k = 1, .n = n };
    buf_init(&b, 1 << 20);
    lp1_message_write(&m, &b);
    int rc = read_buf(&b, &version, &why);
    ok(rc < 0, "%s is refused: %s", name, why);
    buf_release(&b);
}

static void hostile_frames(void)
{
    struct buf b;
    bool version = true;
    const char *why;
    buf_init(&b, 1 << 20);
    map_write(&b, "v=2 t:BEAT i=1 to=2 done=0 later:key");
    ok(read_buf(&b, &version, &why) == 0, "a key of a later version is passed over");
    map_write(&b, "v=1 t:BEAT i=1 to=2 done=0");
    ok(read_buf(&b, &version, &why) < 0 && !version, "another version is told apart");
    refused("v=2 t:BOOM i=1 to=2", "an unknown type");
    refused("v=2 t:BEAT i=1 to=2", "a missing key");
    refused("v=2 t:BEAT i=1 i=1 to=2 done=0", "a key twice");
    refused("v=2 t:BEAT i:x to=2 done=0", "text for a number");
    units_refused(1, UINT64_MAX, 1, "the last number of all as q");
    units_refused(1, 1, 1ull << 32, "a body over 32 bits");
    units_refused(2, 1, LP1_BATCH_BYTES, "two units of more bytes than may go together");
    units_refused(0, 0, 0, "DATA of no unit");
    refused("v=2 t:DATA i=1 to=2 us=5", "a number for units");
    refused("v=2 t:RECV i=1 to=2 ok=2", "an ok of 2");
    refused("v=2 t:RECV i=1 to=2 ok=1 qs=5", "a number for a list");
    static const uint8_t bomb[] = { 0x81, 0xa1, 'v', 0xdd, 0xff, 0xff, 0xff, 0xff, 0xdd, 0xff, 0xff, 0xff, 0xff };
    ok(lp1_message_read(span_of(bomb, sizeof bomb), &got, &version, &why) < 0, "nested lists of 4 G items are refused");
    uint8_t deep[300] = { 0x82, 0xa1, 'v', 0x01, 0xa1, 'x' };
    memset(deep + 6, 0x91, sizeof deep - 6);
    ok(lp1_message_read(span_of(deep, sizeof deep), &got, &version, &why) < 0, "a map 294 deep is refused");
    static uint8_t large[LP1_CONTROL_MAX + 1];
    ok(lp1_message_read(span_of(large, sizeof large), &got, &version, &why) < 0, "a frame over the limit is refused unread");
    ok(lp1_message_read(span_of(NULL, 0), &got, &version, &why) < 0, "an empty frame is refused");
    fill(LP1_ACK);
    m.sack[1].hi = m.sack[1].lo;
    buf_clear(&b);
    lp1_message_write(&m, &b);
    ok(read_buf(&b, &version, &why) < 0, "an empty range is refused");
    buf_release(&b);
}

int main(void)
{
    each_type_comes_back();
    nothing_is_read_beyond_its_bytes();
    hostile_frames();
    return done();
}
