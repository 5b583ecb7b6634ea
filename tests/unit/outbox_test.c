/* tests/unit/outbox_test.c - what a pipe that does not wait takes of an outbox: all of it, in order, and counted */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/stream/crew/outbox.h"
#include "tap.h"

enum { UNITS = OUTBOX_UNITS, PIPE = 64 << 10 };

/* Byte i of what is put; no period of it is that of a segment. */
static uint8_t byte_at(uint64_t i) { return (uint8_t)(i * 31 + i / 251); }

static void fill(uint8_t *to, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++)
        to[i] = byte_at(from + i);
}

/* A map of some bytes and a body of n. */
static void unit_put(struct outbox *o, size_t n, int *failed)
{
    uint8_t map[40];
    fill(map, sizeof map, o->put);
    *failed += outbox_put(o, map, sizeof map) < 0;
    struct blob *b = blob_new(n);
    fill(b->data, n, o->put);
    *failed += outbox_put_blob(o, b) < 0;
}

/* Reads what there is; bytes that are not those that were put. */
static size_t drain(int fd, uint64_t *at)
{
    static uint8_t got[PIPE];
    size_t wrong = 0;
    for (ssize_t n; (n = read(fd, got, sizeof got)) > 0; *at += (uint64_t)n)
        for (ssize_t i = 0; i < n; i++)
            wrong += got[i] != byte_at(*at + (uint64_t)i);
    return wrong;
}

int main(void)
{
    static const size_t sizes[] = { 0, 1, 700, (32 << 10) - 1, 32 << 10, 100000, 300 };
    static struct outbox o;
    int fd[2], failed = 0;
    size_t wrong = 0;
    uint64_t read_at = 0;
    if (pipe(fd) < 0)
        return 1;
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < UNITS; i++)
        unit_put(&o, sizes[i % 7], &failed);
    ok(failed == 0 && o.n <= OUTBOX_SEGMENTS - 4, "%d units of all sizes fit, in %d segments", UNITS, o.n);
    outbox_write(&o, fd[1]);
    ok(o.n && o.gone > 0 && o.gone < o.put, "a pipe that is full ends the write: %zu of %zu bytes", (size_t)o.gone,
       (size_t)o.put);
    for (int i = 0; o.n && i < 1000; i++) {
        wrong += drain(fd[0], &read_at);
        outbox_write(&o, fd[1]);
    }
    wrong += drain(fd[0], &read_at);
    ok(wrong == 0 && read_at == o.put && o.gone == o.put && o.n == 0,
       "then the rest goes, each byte in its place: %zu do not",
       wrong);
    unit_put(&o, 100000, &failed);
    outbox_clear(&o);
    ok(o.n == 0 && o.put == 0 && o.gone == 0, "what is thrown away is counted no more");
    return done();
}
