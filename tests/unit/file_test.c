/* tests/unit/file_test.c - files read whole, mapped, replaced, unnamed; directories; metrics; safe text */
#include "libcommon/cli/metrics.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/temporary.h"
#include "libcommon/sys/text.h"
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/penstock-file.XXXXXX";
static struct error e;

static const char *at(const char *name)
{
    static char paths[4][200];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", dir, name);
    return paths[turn];
}

static void reading(void)
{
    struct buf b;
    buf_init(&b, 100);
    ok(file_replace(at("a"), "hello", 5, &e) == 0 && file_read(at("a"), &b, &e) == 0 && b.size == 5 &&
       !strcmp((char *)b.data, "hello"), "a file is written and read, with a zero behind it");
    ok(file_replace(at("a"), "bye", 3, &e) == 0 && file_read(at("a"), &b, &e) == 0 && b.size == 3, "and replaced");
    char big[101] = { 0 };
    file_replace(at("big"), big, 100, &e);
    ok(file_read(at("big"), &b, &e) == 0 && b.size == 100, "a file as large as the limit is read");
    file_replace(at("big"), big, 101, &e);
    ok(file_read(at("big"), &b, &e) < 0 && e.status == STATUS_BAD && strstr(e.text, "limit of 100"),
       "a larger one is not: %s", e.text);
    ok(file_read(at("none"), &b, &e) < 0 && e.status == STATUS_BAD, "a missing file is bad input: %s", e.text);
    ok(file_read(dir, &b, &e) < 0 && strstr(e.text, "directory"), "a directory is no file");
    ok(mkfifo(at("fifo"), 0600) == 0 && file_read(at("fifo"), &b, &e) < 0 && strstr(e.text, "regular"),
       "a fifo is refused without waiting for it");
    ok(file_replace(at("none/x"), "", 0, &e) < 0, "nothing is written into a directory that is not there");
    ok(access(at("a.part"), F_OK) < 0, "no part is left");
    buf_release(&b);

    struct file_map m;
    ok(file_map_open(at("a"), &m, &e) == 0 && m.size == 3 && !memcmp(m.data, "bye", 3), "a file is mapped");
    file_map_close(&m);
    file_replace(at("empty"), "", 0, &e);
    ok(file_map_open(at("empty"), &m, &e) == 0 && m.size == 0, "an empty one too");
    file_map_close(&m);
}

static void directories(void)
{
    struct stat st;
    ok(dir_make(at("x/y//z"), &e) == 0 && stat(at("x/y/z"), &st) == 0 && S_ISDIR(st.st_mode),
       "a directory is made with its parents");
    ok(dir_make(at("x/y/z/"), &e) == 0, "and is fine if it is there");
    ok(dir_make(at("a/b"), &e) < 0 && strstr(e.text, "Not a directory"), "not below a file: %s", e.text);
    ok(dir_make("/sys/penstock/x", &e) < 0 && !strstr(e.text, "No such file"), "what the system says is told: %s", e.text);
    file_replace(at("x/y/file"), "1", 1, &e);
    ok(symlink(dir, at("x/link")) == 0 && dir_remove(at("x"), &e) == 0 && stat(at("x"), &st) < 0,
       "a directory is removed with its content");
    ok(stat(at("a"), &st) == 0, "but not what a link in it names");
    ok(symlink(dir, at("link")) == 0 && dir_remove(at("link"), &e) < 0 && stat(at("a"), &st) == 0, "nor through a link");
    ok(dir_remove(at("x"), &e) == 0, "one that is not there is fine");
    static const struct { const char *dir, *name, *want; } joins[] = {
        { "a/b", "c", "a/b/c" }, { "a/", "c", "a/c" }, { "a", "/c", "/c" }, { "", "c", "c" },
    };
    for (size_t i = 0; i < 4; i++) {
        char *got = path_join(joins[i].dir, joins[i].name);
        is_str(got, joins[i].want, "paths are joined");
        free(got);
    }
}

static void metrics(void)
{
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 2; i++) {
        struct metrics *m = metrics_open(at("m"), &e);
        metrics_begin(m);
        metrics_str(m, "name", "a\"b\n\xff");
        metrics_int(m, "n", -5);
        metrics_real(m, "x", 0.1);
        metrics_real(m, "y", (double)NAN);
        metrics_end(m, &e);
        metrics_close(m);
    }
    file_read(at("m"), &b, &e);
    static const char line[] = "{\"name\": \"a\\\"b\\n\xef\xbf\xbd\", \"n\": -5, \"x\": 0.1, \"y\": null}\n";
    ok(b.size == 2 * (sizeof line - 1) && !memcmp(b.data, line, sizeof line - 1),
       "metrics are JSON lines, and a file of them grows: %.*s", (int)strcspn((char *)b.data, "\n"), (char *)b.data);
    ok(!metrics_open(NULL, &e) && e.status == 0 && metrics_end(NULL, &e) == 0, "without a file there are none");
    ok(!metrics_open(at("none/m"), &e) && e.status == STATUS_BAD, "a file that cannot be written is told");
    ok(peak_memory_bytes() > 100000 && clock_seconds() <= clock_seconds(), "memory and time are told");
    buf_release(&b);
}

static void temporary(void)
{
    char back[4];
    int fd = temporary_file(&e);
    ok(temporary_write(fd, "ab", 2, "x", &e) == 0 && temporary_write(fd, "cd", 2, "x", &e) == 0 &&
       pread(fd, back, 4, 0) == 4 && !memcmp(back, "abcd", 4), "a file without a name keeps what is written");
    close(fd);
    fd = open(at("a"), O_RDONLY);
    ok(temporary_write(fd, "ab", 2, "set.jsonl", &e) < 0 && e.status == STATUS_AGAIN &&
       strstr(e.text, "'set.jsonl' (TMPDIR chooses its place)"), "one that cannot be written is told: %s", e.text);
    close(fd);
}

static void text(void)
{
    static const struct { const char *bytes; bool good; } cases[] = {
        { "", true }, { "abc", true }, { "\xc3\xbc", true }, { "\xe2\x98\x83", true }, { "\xf0\x9f\x8e\xa4", true },
        { "\xff", false }, { "\xc3", false }, { "\xc0\x80", false }, { "\xed\xa0\x80", false },
            { "\xf4\x90\x80\x80", false }, { "a\xe2\x98", false },
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 100);
        size_t n = strlen(cases[i].bytes);
        text_put_utf8(&b, cases[i].bytes, n);
        wrong += text_is_utf8(cases[i].bytes, n) != cases[i].good || !text_is_utf8(b.data, b.size)
              || (cases[i].good && (b.size != n || (n && memcmp(b.data, cases[i].bytes, n))));
        buf_release(&b);
    }
    ok(wrong == 0, "UTF-8 is told from what is not, which is mended (%d wrong)", wrong);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    reading();
    directories();
    metrics();
    temporary();
    text();
    dir_remove(dir, &e);
    return done();
}
