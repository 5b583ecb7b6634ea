/* libcommon/stream/crew/running.c - see running.h */
#include "libcommon/stream/crew/running.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "libcommon/cli/pipe.h"

static int pipe_make(int fd[2])
{
    if (pipe(fd) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        fcntl(fd[i], F_SETFD, FD_CLOEXEC);
    pipe_grow(fd[1]);
    return 0;
}

static void close_of(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* In the child, which tells errno if the program cannot be run.  A group of its own, so that Ctrl-C
 * reaches only us: we end the children in order. */
_Noreturn static void child_run(char **argv, int in, int out, int tell, const struct cpus *cpus)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);           /* a supervisor that was killed leaves nobody behind */
#endif
    cpus_bind(cpus);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execvp(argv[0], argv);
    int why = errno;
    ssize_t told = write(tell, &why, sizeof why);
    _exit(told == (ssize_t)sizeof why ? 100 : 111);
}

/* Returns once the program runs, so that one that is not there is told once, and not by each copy. */
static pid_t stage_start(char **argv, int in, int out, const struct cpus *cpus, struct error *e)
{
    int tell[2], why = 0;
    ssize_t n = 0;
    if (pipe_make(tell) < 0)
        return error_set(e, STATUS_AGAIN, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        child_run(argv, in, out, tell[1], cpus);
    int forked = errno;
    close_of(&tell[1]);
    while (pid > 0 && (n = read(tell[0], &why, sizeof why)) < 0 && errno == EINTR)
        ;                                       /* nothing comes: exec has closed it */
    close_of(&tell[0]);
    if (pid < 0)
        return error_set(e, STATUS_AGAIN, "cannot start '%s': %s", argv[0], strerror(forked));
    if (n <= 0)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return error_set(e, error_errno_status(why), "cannot run '%s': %s", argv[0], strerror(why));
}

int running_start(const struct pipeline *p, const struct cpus *cpus, struct running *r, struct error *e)
{
    int first[2], last[2] = { -1, -1 }, rc = 0;
    *r = (struct running){ .in = -1, .out = -1 };
    if (pipe_make(first) < 0)
        return error_set(e, STATUS_AGAIN, "cannot make a pipe: %s", strerror(errno));
    int from = first[0];
    r->in = first[1];
    for (int i = 0; i < p->n && rc == 0; i++) {
        if (pipe_make(last) < 0) {
            rc = error_set(e, STATUS_AGAIN, "cannot make a pipe: %s", strerror(errno));
            break;
        }
        pid_t pid = stage_start(p->stage[i], from, last[1], cpus, e);
        close_of(&from);
        close_of(&last[1]);
        from = last[0];
        if (pid < 0)
            rc = -1;
        else
            r->pid[r->n++] = pid;
    }
    r->out = from;
    if (rc < 0) {
        running_kill(r, 0);
        return rc;
    }
    fcntl(r->in, F_SETFL, O_NONBLOCK);
    fcntl(r->out, F_SETFL, O_NONBLOCK);
    return 0;
}

void running_wait(struct running *r)
{
    close_of(&r->in);
    close_of(&r->out);
    for (int i = 0; i < r->n; i++) {
        pid_t got;
        while (r->pid[i] && (got = waitpid(r->pid[i], &r->status[i], 0)) < 0 && errno == EINTR)
            ;
        r->pid[i] = 0;
    }
}

/* Reaps what has ended; is one among it that failed, and the last stage? */
static bool reap(struct running *r)
{
    bool failed = false;
    for (int i = 0; i < r->n; i++) {
        if (r->pid[i] && waitpid(r->pid[i], &r->status[i], WNOHANG) == r->pid[i])
            r->pid[i] = 0;
        failed |= r->status[i] != 0;
    }
    return failed && r->n && !r->pid[r->n - 1];
}

void running_kill(struct running *r, int patience)
{
    /* Our ends stay open meanwhile: closing them would make others end, too. */
    for (int ms = 0; !reap(r) && ms < patience; ms++)
        usleep(1000);
    bool mine[PIPELINE_STAGES] = { false };
    for (int i = 0; i < r->n; i++)
        if (r->pid[i]) {
            mine[i] = true;
            kill(r->pid[i], SIGKILL);
        }
    running_wait(r);
    for (int i = 0; i < r->n; i++)
        if (mine[i])
            r->status[i] = 0;                   /* that was us */
}

/* A signal says more than a status, which may follow from another stage's death; a broken pipe always does. */
static int weight(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGPIPE ? 1 : 3;
    return WIFEXITED(status) && WEXITSTATUS(status) ? 2 : 0;
}

int running_culprit(const struct pipeline *p, const struct running *r, char *how, size_t size, int *status)
{
    int at = -1;
    for (int i = 0; i < r->n; i++)
        if (weight(r->status[i]) > (at < 0 ? 0 : weight(r->status[at])))
            at = i;
    *status = 0;
    if (at < 0)
        return -1;
    if (WIFSIGNALED(r->status[at])) {
        snprintf(how, size, "'%s' was killed by signal %d (%s)", pipeline_name(p, at), WTERMSIG(r->status[at]),
                 strsignal(WTERMSIG(r->status[at])));
    } else {
        *status = WEXITSTATUS(r->status[at]);
        snprintf(how, size, "'%s' ended with status %d", pipeline_name(p, at), *status);
    }
    return at;
}
