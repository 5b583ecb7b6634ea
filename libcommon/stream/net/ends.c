/* libcommon/stream/net/ends.c - see ends.h; one process more computes, this one stands between it and the other world */
#include "libcommon/stream/net/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "libcommon/stream/end.h"
#include "libcommon/stream/net/hub_run.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

#define LAST_SECONDS 15.0               /* for the worker to hear that all is over */

int ends_choose(const struct common *c, enum ends *kind, struct error *e)
{
    bool in = endpoint_is(c->in), out = endpoint_is(c->out);
    bool in_binds = in && *c->in == '@', out_binds = out && *c->out == '@';
    if (in_binds)
        return error_set(e, STATUS_BAD, "'%s': a filter connects its --in to a head, '%s'; what takes from one pool "
                                        "of workers for another is hub",
                         c->in, c->in + 1);
    if (out && !out_binds && !in)
        return error_set(e, STATUS_BAD, "'%s': a worker gets its units from a head, not from a pipe: give --in the "
                                        "head's endpoint, or bind --out ('@%s'), which makes this the head",
                         c->out, c->out);
    *kind = in ? (out_binds ? ENDS_HUB : out ? ENDS_WORKER : ENDS_TAIL) : out ? ENDS_HEAD : ENDS_PIPES;
    return 0;
}

/* --- the process beside ------------------------------------------------------------------ */

struct beside {
    pid_t pid;                  /* 0: it has ended */
    int status;                 /* as waitpid gave it */
};

/* Before any thread is there.  In the child it returns 1. */
static int beside_start(struct beside *b, struct error *e)
{
    pid_t parent = getpid();
    b->pid = fork();
    if (b->pid < 0)
        return error_set(e, STATUS_AGAIN, "cannot start a process: %s", strerror(errno));
    if (b->pid)
        return 0;
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);           /* it leaves with us, however we leave */
    if (getppid() != parent)
        _exit(STATUS_AGAIN);
#else
    (void)parent;
#endif
    return 1;
}

static int beside_status(const struct beside *b)
{
    return WIFEXITED(b->status) ? WEXITSTATUS(b->status) : STATUS_AGAIN;
}

/* -1: it has ended, and was not told to. */
static int beside_look(void *ctx, struct error *e)
{
    struct beside *b = ctx;
    if (b->pid && waitpid(b->pid, &b->status, WNOHANG) == b->pid)
        b->pid = 0;
    if (b->pid || beside_status(b) == STATUS_OK)
        return 0;                               /* 0: the head said that all is over; we hear the same */
    if (WIFSIGNALED(b->status))
        return error_set(e, STATUS_AGAIN, "the process that computes was killed by signal %d (%s)", WTERMSIG(b->status),
                         strsignal(WTERMSIG(b->status)));
    return error_set(e, beside_status(b), "the process that computes ended with status %d", beside_status(b));
}

static void beside_end(struct beside *b, double patience)
{
    double until = clock_seconds() + patience;
    while (b->pid && clock_seconds() < until) {
        if (waitpid(b->pid, &b->status, WNOHANG) == b->pid)
            b->pid = 0;
        else
            usleep(10000);
    }
    if (!b->pid)
        return;
    kill(b->pid, SIGKILL);
    while (waitpid(b->pid, &b->status, 0) < 0 && errno == EINTR)
        ;
    b->pid = 0;
}

/* --- from one end to the other, as it is ---------------------------------------------------- */

static int relay(struct stream_in *in, struct stream_out *out, struct error *e)
{
    struct unit u;
    int rc = 0;
    bool more = true;
    uint64_t next = 0;
    unit_init(&u);
    while (rc == 0 && more) {
        switch (stream_next(in, &u, e)) {
        case STREAM_FAILED:
            rc = -1;
            break;
        case STREAM_EOF:
            more = false;
            break;
        case STREAM_HEADER:
            rc = stream_put_header(out, stream_in_header(in), e);
            break;
        case STREAM_UNIT:
            next = u.q + 1;
            rc = stream_put_unit(out, &u, e);
            break;
        case STREAM_END:
            rc = stream_put_end(out, e);
            break;
        }
    }
    if (rc == 0) {              /* a pipe's reader cannot say more than that it took it all */
        stream_in_commit(in, next);
        stream_in_finish(in);
    }
    unit_release(&u);
    return rc;
}

/* Closes both.  1: the reader left early. */
static int relay_between(struct stream_in *in, struct stream_out *out, struct error *e)
{
    struct error last = { 0 };
    int rc = in && out ? relay(in, out, e) : -1;
    bool gone = out && stream_out_gone(out);
    int closed = stream_out_close(out, &last);
    if (rc == 0 && closed < 0) {
        *e = last;
        rc = -1;
    }
    if (in)
        stream_in_close(in);
    return gone || closed == 1 ? 1 : rc;
}

static int finish(int rc, struct beside *b, const struct error *e)
{
    beside_end(b, rc == 0 ? LAST_SECONDS : 0);
    if (rc < 0)
        warn("%s", e->text);
    return rc < 0 ? e->status : STATUS_OK;
}

/* --- a TAIL, or a hub, with a worker of its own ------------------------------------------------ */

static int tail_serve(const struct common *c, const char *meet, struct beside *b, struct error *e)
{
    struct stream_tail tail = { .head = c->in };
    struct stream_out *out = stream_out_open(c->out, e);
    struct stream_in *in = out ? stream_in_open_tail(meet, &tail, e) : NULL;
    if (in)
        stream_in_before_wait(in, beside_look, b);
    return relay_between(in, out, e);
}

/* A directory for the socket between the two of us, closed to others. */
static int meeting_make(char *dir, size_t size, struct error *e)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || !*tmp || strlen(tmp) > 60)      /* a socket's path is short */
        tmp = "/tmp";
    snprintf(dir, size, "%s/penstock.XXXXXX", tmp);
    return mkdtemp(dir) ? 0 : error_set(e, STATUS_AGAIN, "cannot make a directory in '%s': %s", tmp, strerror(errno));
}

int ends_serve(enum ends kind, const struct common *c, int (*work)(void *ctx, const struct common *c), void *ctx)
{
    struct error e = { 0 };
    struct beside b = { 0 };
    struct common here = *c;
    char dir[80], meet[100], path[100];
    if (meeting_make(dir, sizeof dir, &e) < 0) {
        warn("%s", e.text);
        return e.status;
    }
    snprintf(meet, sizeof meet, "@ipc://%s/s", dir);
    int rc = beside_start(&b, &e), status;
    if (rc == 1) {
        here.out = meet + 1;
        _exit(work(ctx, &here));
    }
    here.metrics = NULL;                        /* the worker tells them */
    stop_install();
    if (rc == 0 && kind == ENDS_HUB) {
        status = hub_run(&(struct hub_ends){ .head = c->in, .above = meet, .below = c->out, .watch = beside_look,
                                             .watch_ctx = &b }, &here);
        beside_end(&b, status == STATUS_OK ? LAST_SECONDS : 0);
    } else {
        rc = rc < 0 ? rc : tail_serve(c, meet, &b, &e);
        status = finish(rc, &b, &e);
    }
    static const char *const left[] = { "/s", "/s.lock", "" };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s%s", dir, left[i]);
        (void)remove(path);
    }
    return status;
}

/* --- a HEAD over what another process writes ------------------------------------------------------ */

int ends_head(const struct common *c, int (*work)(void *ctx, const struct common *c), void *ctx)
{
    struct error e = { 0 };
    struct beside b = { 0 };
    struct common here = *c;
    int fd[2], rc = pipe(fd) < 0 ? error_set(&e, STATUS_AGAIN, "cannot make a pipe: %s", strerror(errno)) :
        beside_start(&b, &e);
    if (rc < 0) {
        warn("%s", e.text);
        return e.status;
    }
    dup2(fd[rc], rc ? STDOUT_FILENO : STDIN_FILENO);
    close(fd[0]);
    close(fd[1]);
    here.in = rc ? c->in : NULL;
    here.out = rc ? NULL : c->out;
    if (rc)
        _exit(work(ctx, &here));
    stop_install();
    struct stream_out *out = stream_out_open(here.out, &e);
    rc = relay_between(out ? stream_in_open(here.in, &e) : NULL, out, &e);
    if (rc < 0 && e.status == STATUS_AGAIN && !stop_asked()) {          /* it may know better why its stream was cut */
        beside_end(&b, 1);
        if (beside_status(&b) != STATUS_OK && WIFEXITED(b.status))
            return beside_status(&b);
    }
    int status = finish(rc, &b, &e);
    return status == STATUS_OK && rc == 0 ? beside_status(&b) : status;
}
