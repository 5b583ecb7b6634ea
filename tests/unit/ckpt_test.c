/* tests/unit/ckpt_test.c - the checkpoint stream: what is written is read, what is damaged is refused */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/sys/file.h"
#include "tests/unit/tap.h"

static char path[] = "/tmp/penstock-ckpt.XXXXXX";
static struct buf whole;

/* Two checkpoints: an empty file, a small one, one of more than a chunk. */
static void write_two(void)
{
    struct error e = { 0 };
    struct stage stage;
    size_t n = CKPT_CHUNK + 12345;
    uint8_t *big = malloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = (uint8_t)(i * 7 + i / 1000);
    stage_init(&stage, "test");
    stage_put_int(&stage, "option", 3);
    struct ckpt_out *o = ckpt_out_open(path, span_of("0123456789abcdef", 16), &stage, &e);
    stage_release(&stage);
    int rc = o ? 0 : -1;
    for (uint64_t step = 5; rc == 0 && step <= 10; step += 5) {
        rc |= ckpt_put_whole(o, step, "empty.txt", "", 0, &e);
        rc |= ckpt_put_whole(o, step, "config.json", "{}", 2, &e);
        if (step == 10) {
            rc |= ckpt_put_file(o, step, "model.safetensors", n, &e);
            rc |= ckpt_put_bytes(o, big, 1, &e) | ckpt_put_bytes(o, big + 1, n - 1, &e);
        }
        rc |= ckpt_put_commit(o, step, step == 10 ? 5 : 0, &e);
    }
    rc |= o ? ckpt_put_end(o, &e) | ckpt_out_close(o, &e) : 0;
    ok(rc == 0, "two checkpoints are written%s%s", rc ? ": " : "", rc ? e.text : "");
    buf_init(&whole, 1 << 30);
    file_read(path, &whole, &e);
    free(big);
}

struct count { int files, commits; uint64_t bytes, best; enum ckpt_event last; struct error e; };

static struct count read_bytes(const void *data, size_t n)
{
    struct count c = { .last = CKPT_FAILED };
    char copy[] = "/tmp/penstock-ckpt.XXXXXX";
    int fd = mkstemp(copy);
    if (fd < 0 || file_write_all(fd, data, n) < 0)
        return c;
    close(fd);
    struct ckpt_record r;
    struct ckpt_in *in = ckpt_in_open(copy, &c.e);
    while (in && (c.last = ckpt_next(in, &r, &c.e)) > CKPT_EOF) {
        c.files += c.last == CKPT_FILE;
        c.commits += c.last == CKPT_COMMIT;
        c.bytes += c.last == CKPT_BYTES ? r.data.size : 0;
        if (c.last == CKPT_COMMIT)
            c.best = r.best;
    }
    ckpt_in_close(in);
    unlink(copy);
    return c;
}

static void damaged(void)
{
    size_t head = 600 < whole.size ? 600 : whole.size, tail = whole.size - 60;
    int accepted = 0, commits = 0, wrong_status = 0;
    for (size_t n = 0; n < whole.size; n += n < head || n >= tail ? 1 : 100003) {
        struct count c = read_bytes(whole.data, n);
        accepted += c.last != CKPT_FAILED;
        wrong_status += c.e.status != STATUS_AGAIN;
        commits += n < 200 && c.commits;
    }
    is_int(accepted, 0, "cut anywhere it is refused");
    is_int(wrong_status, 0, "as truncated, which may be tried again");
    is_int(commits, 0, "and no checkpoint is committed before its commit has come");
    accepted = 0;
    for (size_t at = 0; at < whole.size; at += at < head || at >= tail ? 1 : 200003) {
        whole.data[at] ^= 0x20;
        accepted += read_bytes(whole.data, whole.size).last != CKPT_FAILED;
        whole.data[at] ^= 0x20;
    }
    is_int(accepted, 0, "with a bit turned anywhere it is refused");
    uint8_t *more = malloc(whole.size + 1);
    memcpy(more, whole.data, whole.size);
    more[whole.size] = 0xc0;
    ok(read_bytes(more, whole.size + 1).last == CKPT_FAILED, "bytes after its end are refused");
    free(more);
}

static void writer_refuses(void)
{
    struct error e = { 0 };
    struct stage stage;
    stage_init(&stage, "test");
    struct ckpt_out *o = ckpt_out_open("/dev/null", span_of("r", 1), &stage, &e);
    ok(ckpt_put_file(o, 1, "../evil", 1, &e) < 0 && ckpt_put_file(o, 1, ".hidden", 1, &e) < 0 &&
       ckpt_put_file(o, 1, "", 1, &e) < 0, "names that leave the directory cannot be written");
    ok(ckpt_put_file(o, 1, "a", 3, &e) == 0 && ckpt_put_bytes(o, "1234", 4, &e) < 0,
       "a file cannot have more bytes than announced");
    ok(ckpt_put_bytes(o, "12", 2, &e) == 0 && ckpt_put_commit(o, 1, 0, &e) < 0, "nor be committed with fewer");
    ckpt_out_close(o, NULL);
    stage_release(&stage);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    write_two();
    struct count c = read_bytes(whole.data, whole.size);
    ok(c.last == CKPT_EOF, "they are read to the end%s%s", c.e.status ? ": " : "", c.e.text);
    ok(c.files == 5 && c.commits == 2, "with all files and commits (%d, %d)", c.files, c.commits);
    ok(c.bytes == CKPT_CHUNK + 12345 + 4 && c.best == 5, "all bytes, and the step to spare");
    damaged();
    writer_refuses();
    buf_release(&whole);
    unlink(path);
    return done();
}
