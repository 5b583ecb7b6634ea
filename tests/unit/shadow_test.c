/* tests/unit/shadow_test.c - bodies that lie in memory and in a pipe, and are passed on from both */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/cli/pipe.h"
#include "libcommon/stream/crew/shadow.h"
#include "tap.h"

enum { SIZE = 60000 };         /* fits into a pipe that nobody made larger */

static uint8_t text[SIZE], got[SIZE + 1];

static bool skips;              /* what the shadow has got is not read */

/* A body whose bytes from `at` on came through a pipe, `piece` at a time. */
static struct blob *body_read(struct shadows *s, size_t at, size_t piece)
{
    int fd[2];
    struct blob *b = blob_new(SIZE);
    shadow_add(s, b);
    memcpy(b->data, text, at);
    if (pipe(fd) < 0)
        return NULL;
    for (size_t n; at < SIZE; at += n) {
        size_t left = SIZE - at < piece ? SIZE - at : piece;
        if (write(fd[1], text + at, left) != (ssize_t)left)
            return NULL;
        n = shadow_tee(b, fd[0], at, SIZE - at);
        bool skipped = skips && n && shadow_skip(b, fd[0], n) == n;
        if (!skipped && read(fd[0], b->data + at, n ? n : left) < 0)
            return NULL;
        n = n ? n : left;
    }
    close(fd[0]);
    close(fd[1]);
    return b;
}

/* Writes b from `at` on to a pipe, as long as it takes it; returns the place it came to. */
static size_t pass(struct blob *b, int fd, size_t at)
{
    for (ssize_t n = 1; n > 0 && at < b->size; at += n > 0 ? (size_t)n : 0) {
        size_t here = shadow_before(b, at);
        n = here ? write(fd, b->data + at, here) : shadow_pass(b, fd, false);
    }
    return at;
}

static bool pipe_open(int fd[2])
{
    return pipe(fd) == 0 && fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fd[1], F_SETFL, O_NONBLOCK) == 0;
}

static size_t drain(int fd, size_t at)
{
    for (ssize_t n; (n = read(fd, got + at, sizeof got - at)) > 0;)
        at += (size_t)n;
    return at;
}

static void passed_whole(struct shadows *s, size_t at, size_t piece, const char *name)
{
    int fd[2];
    struct blob *b = body_read(s, at, piece);
    if (!pipe_open(fd))
        return;
    size_t from = 0, to = 0;
    memset(got, 0, sizeof got);
    while (to < SIZE) {
        from = pass(b, fd[1], from);
        size_t had = to;
        to = drain(fd[0], to);
        if (to == had)
            break;
    }
    ok(to == SIZE && !memcmp(got, text, SIZE) && (skips || !memcmp(b->data, text, SIZE)), "%s", name);
    close(fd[0]);
    close(fd[1]);
    blob_drop(b);
}

static void passed_again(struct shadows *s)
{
    int first[2], second[2];
    struct blob *b = body_read(s, 1000, 10000);
    if (!pipe_open(first) || write(first[1], text, SIZE / 2) != SIZE / 2 || !pipe_open(second))
        return;
    pipe_grow(second[1]);                       /* what came in pieces takes more of it */
    size_t n = pass(b, first[1], 0);
    ok(n > 0 && n < SIZE, "a pipe takes a part of a body");
    close(first[0]);
    close(first[1]);
    ok(pass(b, second[1], 0) == SIZE, "another is given all of it from the beginning");
    close(second[1]);
    memset(got, 0, sizeof got);
    ok(drain(second[0], 0) == SIZE && !memcmp(got, text, SIZE), "and gets the same bytes");
    close(second[0]);
    blob_drop(b);
}

static int open_files(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

int main(void)
{
    struct shadows s;
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (uint8_t)(i * 2654435761u >> 11);
    int before = open_files();
    shadows_init(&s);
    passed_whole(&s, 0, 4096, "a body that came in whole pages");
    passed_whole(&s, 77, 1000, "one that came in small pieces, the first without its shadow");
    passed_whole(&s, SIZE, 1, "one that came without its shadow");
    passed_again(&s);
    skips = true;
    passed_whole(&s, 3000, 10000, "one that nobody looked at");
    skips = false;
    struct blob *many[20];
    for (int i = 0; i < 20; i++)
        many[i] = body_read(&s, 0, 30000);
    bool same = true;
    for (int i = 0; i < 20; i++) {
        same &= !memcmp(many[i]->data, text, SIZE);
        blob_drop(many[i]);
    }
    ok(same, "more bodies than there are pipes are read all the same");
    passed_whole(&s, 0, 20000, "and afterwards there are some again");
    shadows_release(&s);
    ok(s.made == 0 && open_files() == before, "no pipe stays open");
    return done();
}
