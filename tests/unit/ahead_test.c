/* tests/unit/ahead_test.c - a stream read ahead: the same events and samples, no further than asked, closed at any time */
#include "libcommon/stream/ahead.h"
#include "libcommon/sys/clock.h"
#include "stream_make.h"
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/penstock-ahead.XXXXXX", path[100];

static struct stream_in *open_ahead(const char *from, uint64_t samples, struct error *e)
{
    struct stream_in *in = stream_in_open(from, e);
    return in ? stream_in_ahead(in, &(struct ahead_limits){ .samples = samples, .bytes = 1 << 20 }, e) : NULL;
}

/* Event by event beside the stream itself. */
static void same(uint64_t samples)
{
    struct error e = { 0 }, f = { 0 };
    struct unit u, v;
    enum stream_event a, b;
    bool good = true, events = true;
    unit_init(&u);
    unit_init(&v);
    struct stream_in *plain = stream_in_open(path, &e), *ahead = open_ahead(path, samples, &f);
    do {
        a = stream_next(plain, &u, &e);
        b = stream_next(ahead, &v, &f);
        events &= a == b && stream_in_bytes(plain) == stream_in_bytes(ahead) &&
                  !memcmp(stream_in_end(plain), stream_in_end(ahead), sizeof(struct stream_end));
        if (a == STREAM_HEADER)
            good &= !memcmp(stream_in_header(plain)->map.data, stream_in_header(ahead)->map.data,
                            stream_in_header(plain)->map.size);
        if (a != STREAM_UNIT || b != a)
            continue;
        good &= u.q == v.q && u.epoch == v.epoch && u.k == v.k && u.body.size == v.body.size &&
                !memcmp(u.body.data, v.body.data, u.body.size);
        for (uint32_t i = 0; good && i < v.k; i++)      /* values can be added: memory is the taker's */
            good &= v.sample[i].arena == &v.arena && sample_put_int(&v.sample[i], "extra", i, &f) == 0 &&
                    sample_get(&v.sample[i], "extra");
    } while (a > STREAM_EOF && b == a);
    ok(events && a == STREAM_EOF, "%llu samples ahead: the same events, at the same bytes", (unsigned long long)samples);
    ok(good, "%llu samples ahead: the same header and units", (unsigned long long)samples);
    is_int(stream_next(ahead, &v, &f), STREAM_EOF, "and the end for those who ask again");
    stream_in_close(plain);
    stream_in_close(ahead);
    unit_release(&u);
    unit_release(&v);
}

static void cut(void)
{
    struct error e = { 0 };
    struct unit u;
    int units = 0;
    enum stream_event event;
    unit_init(&u);
    ok(truncate(path, 30000) == 0, "a stream is cut");
    struct stream_in *in = open_ahead(path, 4, &e);
    while ((event = stream_next(in, &u, &e)) > STREAM_EOF)
        units += event == STREAM_UNIT;
    ok(event == STREAM_FAILED && strstr(e.text, "truncated") && units > 10,
       "all that is whole comes first, then the reason (%d units, %s)", units, e.text);
    e = (struct error){ 0 };
    ok(stream_next(in, &u, &e) == STREAM_FAILED && strstr(e.text, "truncated"), "which is told again");
    stream_in_close(in);
    unit_release(&u);
}

/* A pipe on which nothing more comes, and one that is full of what nobody wants. */
static void closed_early(void)
{
    struct error e = { 0 };
    struct unit u;
    int fd[2], saved = dup(STDIN_FILENO);
    char bytes[20000];
    unit_init(&u);
    stream_make(path, 30, 3, 400, 0, &e);
    int file = open(path, O_RDONLY);
    ssize_t n = read(file, bytes, sizeof bytes);
    close(file);
    ok(pipe(fd) == 0 && n == (ssize_t)sizeof bytes && write(fd[1], bytes, sizeof bytes) == n,
       "the beginning of a stream lies in a pipe");
    dup2(fd[0], STDIN_FILENO);
    struct stream_in *in = open_ahead(NULL, 1000, &e);
    is_int(stream_next(in, &u, &e), STREAM_HEADER, "its header comes");
    is_int(stream_next(in, &u, &e), STREAM_UNIT, "and a unit");
    usleep(100000);
    double began = clock_seconds();
    stream_in_close(in);
    double took = clock_seconds() - began;
    ok(took < 5, "a thread that waits for more leaves when it is closed (%.2f s)", took);
    dup2(saved, STDIN_FILENO);
    close(fd[0]);
    close(fd[1]);
    in = open_ahead(path, 3, &e);
    is_int(stream_next(in, &u, &e), STREAM_HEADER, "of a whole stream the header is taken");
    usleep(50000);
    stream_in_close(in);
    ok(true, "and it is closed while the thread waits for room");
    unit_release(&u);
}

int main(void)
{
    struct error e = { 0 };
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/s", dir);
    is_int(stream_make(path, 40, 3, 400, 0, &e), 0, "a stream is made");
    same(1);
    same(7);
    same(1000);
    cut();
    closed_early();
    unlink(path);
    rmdir(dir);
    return done();
}
