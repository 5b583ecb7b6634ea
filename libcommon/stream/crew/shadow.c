/* libcommon/stream/crew/shadow.c - see shadow.h */
#include "libcommon/stream/crew/shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/cli/pipe.h"

enum { SHADOWS = 6, CAPACITY = 1 << 20 };

struct shadow {
    struct shadow *next;
    struct shadows *of;
    int fd[2];
    size_t at, n;               /* n bytes of the body, from `at` on, are in the pipe */
};

bool shadow_fits(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

void shadows_init(struct shadows *s) { *s = (struct shadows){ .nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC) }; }

static void shadow_close(struct shadow *h)
{
    h->of->made--;
    close(h->fd[0]);
    close(h->fd[1]);
    free(h);
}

void shadows_release(struct shadows *s)
{
    while (s->idle) {
        struct shadow *h = s->idle;
        s->idle = h->next;
        shadow_close(h);
    }
    if (s->nowhere >= 0)
        close(s->nowhere);
}

static void take_off(struct blob *b)
{
    struct shadow *h = b->shadow;
    b->shadow = NULL;
    if (h->n) {
        shadow_close(h);
        return;
    }
    h->next = h->of->idle;
    h->of->idle = h;
}

static void release(struct blob *b)
{
    if (b->shadow)
        take_off(b);
    free(b);
}

#if defined(__linux__) && defined(F_GETPIPE_SZ)

static struct shadow *shadow_new(struct shadows *s)
{
    struct shadow *h = s->made < SHADOWS && !s->refused ? calloc(1, sizeof *h) : NULL;
    if (!h)
        return NULL;
    h->of = s;
    if (pipe2(h->fd, O_CLOEXEC) < 0) {
        s->refused = true;
        free(h);
        return NULL;
    }
    s->made++;
    pipe_grow(h->fd[1]);
    if (fcntl(h->fd[1], F_GETPIPE_SZ) >= CAPACITY)
        return h;
    s->refused = true;                          /* over the user's limit */
    shadow_close(h);
    return NULL;
}

void shadow_add(struct shadows *s, struct blob *b)
{
    struct shadow *h = s->idle;
    if (h)
        s->idle = h->next;
    else if (!(h = shadow_new(s)))
        return;
    h->at = h->n = 0;
    b->shadow = h;
    b->release = release;
}

size_t shadow_tee(struct blob *b, int fd, size_t at, size_t n)
{
    struct shadow *h = b->shadow;
    if (!h || (h->n && h->at + h->n != at))     /* something between was read without it */
        return 0;
    ssize_t got = tee(fd, h->fd[1], n, SPLICE_F_NONBLOCK);
    if (got <= 0)
        return 0;
    if (!h->n)
        h->at = at;
    h->n += (size_t)got;
    return (size_t)got;
}

size_t shadow_skip(const struct blob *b, int fd, size_t n)
{
    size_t done = 0;
    for (ssize_t got = 1; got > 0 && done < n; done += got > 0 ? (size_t)got : 0)
        got = splice(fd, NULL, b->shadow->of->nowhere, NULL, n - done, SPLICE_F_NONBLOCK);
    return done;
}

size_t shadow_before(const struct blob *b, size_t at)
{
    const struct shadow *h = b->shadow;
    return h && h->n && h->at >= at ? h->at - at : b->size - at;
}

ssize_t shadow_pass(struct blob *b, int fd, bool waits)
{
    struct shadow *h = b->shadow;
    ssize_t n = splice(h->fd[0], NULL, fd, NULL, h->n, waits ? 0 : SPLICE_F_NONBLOCK);
    if (n <= 0)
        return n;
    h->at += (size_t)n;
    h->n -= (size_t)n;
    if (!h->n)
        take_off(b);
    return n;
}

#else

void shadow_add(struct shadows *s, struct blob *b) { (void)s, (void)b; }
size_t shadow_tee(struct blob *b, int fd, size_t at, size_t n) { return (void)b, (void)fd, (void)at, (void)n, (size_t)0; }
size_t shadow_skip(const struct blob *b, int fd, size_t n) { return (void)b, (void)fd, (void)n, (size_t)0; }
size_t shadow_before(const struct blob *b, size_t at) { return b->size - at; }
ssize_t shadow_pass(struct blob *b, int fd, bool waits) { return (void)b, (void)fd, (void)waits, (ssize_t)-1; }

#endif
