/* tests/unit/stream_test.c - streams through files: what is written is read, what is cut or changed is told
 *
 * With arguments it is a tool for tests of programs: stream_make.h. */
#include "libcommon/stream/end.h"
#include "libcommon/stream/format/unit.h"
#include "libcommon/sys/file.h"
#include "stream_make.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/penstock-stream.XXXXXX";
static char path[100], other[100];

struct found {
    int headers, units, ends;
    uint64_t samples;
    enum stream_event last;
    struct error e;
};

/* Reads a whole stream; each unit's samples have to be those of unit_make. */
static struct found stream_read(const char *from)
{
    struct found f = { .last = STREAM_FAILED };
    struct unit u;
    unit_init(&u);
    struct stream_in *in = stream_in_open(from, &f.e);
    while (in && (f.last = stream_next(in, &u, &f.e)) > STREAM_EOF) {
        f.headers += f.last == STREAM_HEADER;
        f.units += f.last == STREAM_UNIT;
        f.ends += f.last == STREAM_END;
        f.samples += f.last == STREAM_UNIT ? u.k : 0;
    }
    stream_in_close(in);
    unit_release(&u);
    return f;
}

static void write_file(const char *to, const void *data, size_t n)
{
    int fd = open(to, O_WRONLY | O_CREAT, 0666);       /* O_TRUNC would make some file systems sync at close */
    if (fd < 0 || file_write_all(fd, data, n) < 0 || ftruncate(fd, (off_t)n) < 0) {
        printf("Bail out! cannot write %s: %s\n", to, strerror(errno));
        exit(1);
    }
    close(fd);
}

static void round_trip(void)
{
    struct error e = { 0, "" };
    is_int(stream_make(path, 7, 3, 400, 0, &e), 0, "a stream is written");
    struct found f = stream_read(path);
    ok(f.last == STREAM_EOF && f.headers == 1 && f.units == 7 && f.ends == 1 && f.samples == 21,
       "and read: a header, its units, an end");

    struct stream_in *in = stream_in_open(path, &e);
    struct unit u;
    unit_init(&u);
    is_int(stream_next(in, &u, &e), STREAM_HEADER, "the header comes first");
    const struct header *h = stream_in_header(in);
    double bytes = 0;
    ok(header_samples(h) == 21 && header_epochs(h) == 1 && header_run(h).size == 16 &&
       !memcmp(header_run(h).data, stream_make_run, 16)
           && header_option_real(h, "stream-make", "bytes", &bytes) && bytes == 400,
       "with the run, the counts and the stage's options");
    struct header run;
    struct stage st;
    stage_init(&st, "x");
    header_make(&run, stream_make_run, 7, 3, &st, &e);
    is_int((long long)header_total(&run), 21, "a run of 3 epochs of 7 samples has 21");
    header_release(&run);
    stage_release(&st);
    is_int(stream_next(in, &u, &e), STREAM_UNIT, "then a unit");
    struct array a;
    struct span text;
    int64_t rate = 0;
    ok(u.q == 0 && u.k == 3 && sample_array(&u.sample[1], "pcm", &a, &e) == 1 && a.type == ARRAY_F32 && a.rank == 1 &&
       a.shape[0] == 100
           && array_at(&a, 7) == (double)0.07f && sample_int(&u.sample[1], "rate", &rate, &e) == 1 && rate == 16000
           && sample_str(&u.sample[2], "text", &text, &e) == 1 && text.size == 11 && sample_id(&u.sample[2]).size == 8,
       "whose samples hold what was put");
    stream_in_close(in);
    unit_release(&u);

    is_int(stream_make(path, 3, 2, 300000, 40, &e), 0, "large samples, and a start at 40, are written");
    f = stream_read(path);
    ok(f.last == STREAM_EOF && f.units == 3, "and read");
    is_int(stream_make(path, 0, 1, 0, 0, &e), 0, "a stream of nothing is written");
    f = stream_read(path);
    ok(f.last == STREAM_EOF && f.headers == 1 && f.units == 0 && f.ends == 1, "and read");
}

static void two_streams(void)
{
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 20);
    stream_make(path, 3, 1, 40, 5, &e);
    file_read(path, &b, &e);
    uint8_t *twice = malloc(2 * b.size);
    memcpy(twice, b.data, b.size);
    memcpy(twice + b.size, b.data, b.size);
    write_file(path, twice, 2 * b.size);
    struct found f = stream_read(path);
    ok(f.last == STREAM_EOF && f.headers == 2 && f.units == 6 && f.ends == 2, "one stream after another is read");
    write_file(path, "", 0);
    f = stream_read(path);
    ok(f.last == STREAM_FAILED && f.e.status == STATUS_BAD && strstr(f.e.text, "truncated at byte 0"),
       "no bytes are not a stream: %s", f.e.text);
    free(twice);
    buf_release(&b);
}

/* Cut at every byte: the units before it are delivered, then it fails, naming the byte. */
static void cut_anywhere(void)
{
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 20);
    stream_make(path, 4, 2, 16, 0, &e);
    file_read(path, &b, &e);
    int wrong = 0, before = 0;
    bool grows = true;
    for (size_t n = 0; n < b.size; n++) {
        char at[40];
        snprintf(at, sizeof at, "truncated at byte %zu,", n);
        write_file(other, b.data, n);
        struct found f = stream_read(other);
        wrong += f.last != STREAM_FAILED || f.e.status != STATUS_BAD || !strstr(f.e.text, at) || f.ends;
        grows &= f.units >= before;
        before = f.units;
    }
    ok(wrong == 0, "a stream cut at any of its %zu bytes says so (%d times not)", b.size, wrong);
    ok(grows && before == 4, "and all units before the cut were delivered");
    buf_release(&b);
}

/* Each byte changed in several ways: never silent, never worse than a line. */
static void change_anywhere(void)
{
    static const uint8_t changes[] = { 0x01, 0x80, 0xff, 0x10 };
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 20);
    stream_make(path, 2, 1, 8, 0, &e);
    file_read(path, &b, &e);
    int silent = 0, lines = 0;
    for (size_t i = 0; i < b.size; i++)
        for (size_t k = 0; k < sizeof changes; k++) {
            b.data[i] ^= changes[k];
            write_file(other, b.data, b.size);
            struct found f = stream_read(other);
            silent += f.last != STREAM_FAILED;
            lines += f.last == STREAM_FAILED && (strstr(f.e.text, " byte ") || strstr(f.e.text, "at byte"));
            b.data[i] ^= changes[k];
        }
    ok(silent == 0, "a stream with any byte changed fails (%d of %zu changes did not)", silent, b.size * sizeof changes);
    ok(lines == (int)(b.size * sizeof changes), "and the place is named");
    buf_release(&b);
}

/* A file of a header and what `put` adds to it. */
static struct found hostile(void (*put)(struct buf *b))
{
    struct stage st;
    struct header h;
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 24);
    stage_init(&st, "x");
    header_make(&h, stream_make_run, 0, 0, &st, &e);
    buf_append(&b, h.map.data, h.map.size);
    put(&b);
    write_file(other, b.data, b.size);
    stage_release(&st);
    header_release(&h);
    buf_release(&b);
    return stream_read(other);
}

static void data_put(struct buf *b, uint64_t q, uint64_t k, uint64_t n, const struct buf *body)
{
    static const char *const keys[] = { "q", "e", "k", "n", "c" };
    uint64_t values[] = { q, 0, k, n, body ? crc32c(0, body->data, body->size) : 0 };
    mp_put_map(b, 6);
    mp_put_str(b, "t");
    mp_put_str(b, "DATA");
    for (int i = 0; i < 5; i++) {
        mp_put_str(b, keys[i]);
        mp_put_uint(b, values[i]);
    }
    if (body)
        buf_append(b, body->data, body->size);
}

static void body_put(struct buf *body, uint32_t k)
{
    buf_init(body, 1 << 24);
    mp_put_map(body, 1);
    mp_put_str(body, "samples");
    mp_put_array(body, k);
}

static void empty_unit(struct buf *b, uint64_t q)
{
    struct buf body;
    body_put(&body, 0);
    data_put(b, q, 0, body.size, &body);
    buf_release(&body);
}

static void gap(struct buf *b) { empty_unit(b, 7), empty_unit(b, 9); }
static void huge(struct buf *b) { data_put(b, 0, 1, (uint64_t)1 << 40, NULL); }
static void crowd(struct buf *b) { data_put(b, 0, (uint64_t)1 << 60, 100, NULL); }

static void bomb(struct buf *b)
{
    struct buf body;
    body_put(&body, 1);
    for (int i = 0; i < 1000; i++)
        buf_append(&body, "\x91", 1);
    buf_append(&body, "\xc0", 1);
    data_put(b, 0, 1, body.size, &body);
    buf_release(&body);
}

static void many_items(struct buf *b)
{
    struct buf body;
    buf_init(&body, 1000);
    mp_put_map(&body, 1);
    mp_put_str(&body, "samples");
    mp_put_array(&body, UINT32_MAX);
    data_put(b, 0, 1, body.size, &body);
    buf_release(&body);
}

static void key_twice(struct buf *b)
{
    struct buf body;
    body_put(&body, 1);
    mp_put_map(&body, 2);
    for (int i = 0; i < 2; i++) {
        mp_put_str(&body, "id");
        mp_put_str(&body, "x");
    }
    data_put(b, 0, 1, body.size, &body);
    buf_release(&body);
}

static void nameless(struct buf *b)
{
    struct buf body;
    body_put(&body, 1);
    mp_put_map(&body, 0);
    data_put(b, 0, 1, body.size, &body);
    buf_release(&body);
}

static void control_twice(struct buf *b)
{
    mp_put_map(b, 2);
    for (int i = 0; i < 2; i++) {
        mp_put_str(b, "t");
        mp_put_str(b, "END");
    }
}

static void long_control(struct buf *b)
{
    mp_put_map(b, 1);
    mp_put_str(b, "t");
    mp_put_bin_head(b, UINT32_MAX);
}

static void hostile_streams(void)
{
    static const struct {
        void (*put)(struct buf *);
        const char *line, *name;
    } cases[] = {
        { gap, "unit 9 where 8 was expected", "a gap in the sequence" },
        { huge, "over the limit of 67108864", "a body of a terabyte" },
        { crowd, "over the limit", "more samples than a unit may have" },
        { bomb, "nested too deep", "a thousand arrays in each other" },
        { many_items, "is not {\"samples\"", "an array of four thousand million items in ten bytes" },
        { key_twice, "a key twice", "a sample with a key twice" },
        { nameless, "without an 'id'", "a sample without an id" },
        { control_twice, "with key 't' twice", "a control map with a key twice" },
        { long_control, "larger than 2048", "a control map of four gigabytes" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct found f = hostile(cases[i].put);
        ok(f.last == STREAM_FAILED && f.e.status == STATUS_BAD && strstr(f.e.text, cases[i].line) &&
           strstr(f.e.text, " byte "), "%s is told: %s", cases[i].name, f.e.text);
    }
}

static void too_large(void)
{
    struct error e = { 0, "" };
    struct unit u;
    struct gather g;
    unit_init(&u);
    gather_init(&g);
    unit_begin(&u, 3, 0);
    size_t big = (size_t)40 << 20;
    uint8_t *data = calloc(1, big + 100);
    unit_add(&u, "a", 1, &e);
    unit_add(&u, "b", 1, &e);
    sample_put_bin(&u.sample[0], "audio", data, big, &e);
    sample_put_bin(&u.sample[1], "audio", data, big + 100, &e);
    is_int(unit_fit(&u, &g, "me", &e), 0, "a unit of 80 MiB is made to fit");
    ok(!sample_failed(&u.sample[0]) && sample_failed(&u.sample[1]) && g.size < UNIT_MAX,
       "by making its largest sample an error record");
    gather_release(&g);
    unit_release(&u);
    free(data);
}

static void wrong_order(void)
{
    struct error e = { 0, "" };
    struct stage st;
    struct header h;
    struct unit u;
    struct stream_out *out = stream_out_open(path, &e);
    stage_init(&st, "x");
    header_make(&h, stream_make_run, 0, 0, &st, &e);
    unit_init(&u);
    unit_begin(&u, 0, 0);
    ok(stream_put_unit(out, &u, &e) < 0, "a unit before a header is refused");
    stream_put_header(out, &h, &e);
    ok(stream_put_unit(out, &u, &e) == 0 && stream_put_unit(out, &u, &e) < 0, "a unit twice is refused");
    stream_out_close(out, &e);
    unit_release(&u);
    header_release(&h);
    stage_release(&st);
}

static void checksums(void)
{
    static uint8_t data[100003];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    ok(crc32c(0, "123456789", 9) == 0xe3069283, "crc32c of '123456789' is e3069283");
    int wrong = 0, joined = 0, appended = 0;
    for (size_t n = 0; n < sizeof data; n = n < 70 ? n + 1 : n * 3 - 7) {
        wrong += crc32c(5, data + 1, n) != crc32c_table(5, data + 1, n);
        uint32_t a = crc32c(0, data, n), b = crc32c(0, data + n, sizeof data - n);
        joined += crc32c_combine(a, b, sizeof data - n) != crc32c(0, data, sizeof data);
        appended += crc32c_append(5, data, n, a) != crc32c(5, data, n);
    }
    ok(wrong == 0, "the processor's instruction and the table agree at all lengths (%d not)", wrong);
    ok(joined == 0, "checksums of parts combine (%d not)", joined);
    ok(appended == 0, "and one that is known is appended, short or long (%d not)", appended);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return stream_tool(argc, argv);
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/stream", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    checksums();
    round_trip();
    two_streams();
    cut_anywhere();
    change_anywhere();
    hostile_streams();
    too_large();
    wrong_order();
    struct error e;
    dir_remove(dir, &e);
    return done();
}
