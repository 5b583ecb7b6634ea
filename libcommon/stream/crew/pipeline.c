/* libcommon/stream/crew/pipeline.c - see pipeline.h */
#include "libcommon/cli/pipe.h"
#include "libcommon/stream/crew/pipeline.h"

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


/* --- words ----------------------------------------------------------------------- */

static void word_end(char **to, bool *open)
{
    if (*open)
        *(*to)++ = 0;
    *open = false;
}

static int stage_end(struct pipeline *p, const char *text, int *words, int begin, struct error *e)
{
    if (*words == begin)
        return error_set(e, STATUS_BAD, "'%s': a stage without a program", text);
    if (p->n == PIPELINE_STAGES)
        return error_set(e, STATUS_BAD, "'%s': more than %d stages", text, PIPELINE_STAGES);
    p->word[(*words)++] = NULL;
    p->stage[p->n++] = &p->word[begin];
    return 0;
}

int pipeline_parse(struct pipeline *p, const char *text, struct error *e)
{
    *p = (struct pipeline){ .text = malloc(2 * strlen(text) + 2) };
    if (!p->text)
        return error_memory(e);
    const char *from = text;
    char *to = p->text, quote = 0;
    int words = 0, begin = 0;
    bool open = false;
    for (; *from; from++) {
        char c = *from;
        if (!quote && (c == ' ' || c == '\t' || c == '\n' || c == '|')) {
            word_end(&to, &open);
            if (c == '|') {
                if (stage_end(p, text, &words, begin, e) < 0)
                    return -1;
                begin = words;
            }
            continue;
        }
        if (!quote && strchr(";&<>$`*?(){}#~", c))
            return error_set(e, STATUS_BAD, "'%s': '%c' is for a shell, and this runs without one: quote it, or call "
                                            "sh -c", text, c);
        if (!open) {
            if (words >= PIPELINE_WORDS - PIPELINE_STAGES)
                return error_set(e, STATUS_BAD, "'%s': too many words", text);
            p->word[words++] = to;
            open = true;
        }
        if (c == quote && quote)
            quote = 0;
        else if (!quote && (c == '\'' || c == '"'))
            quote = c;
        else if (c == '\\' && quote != '\'' && from[1])
            *to++ = *++from;
        else
            *to++ = c;
    }
    if (quote)
        return error_set(e, STATUS_BAD, "'%s': a quote that is not closed", text);
    word_end(&to, &open);
    return stage_end(p, text, &words, begin, e);
}

int pipeline_single(struct pipeline *p, char *const *argv, struct error *e)
{
    *p = (struct pipeline){ .n = 1 };
    int n = 0;
    for (; argv[n]; n++) {
        if (n == PIPELINE_WORDS - 1)
            return error_set(e, STATUS_BAD, "more than %d words on the command line", PIPELINE_WORDS);
        p->word[n] = argv[n];
    }
    p->stage[0] = p->word;
    return 0;
}

void pipeline_release(struct pipeline *p)
{
    free(p->text);
    *p = (struct pipeline){ 0 };
}

const char *pipeline_name(const struct pipeline *p, int stage)
{
    const char *slash = strrchr(p->stage[stage][0], '/');
    return slash ? slash + 1 : p->stage[stage][0];
}

/* --- processes ----------------------------------------------------------------------- */

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

int pipeline_start(const struct pipeline *p, const struct cpus *cpus, struct running *r, struct error *e)
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
        pipeline_kill(r, 0);
        return rc;
    }
    fcntl(r->in, F_SETFL, O_NONBLOCK);
    fcntl(r->out, F_SETFL, O_NONBLOCK);
    return 0;
}

void pipeline_wait(struct running *r)
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

void pipeline_kill(struct running *r, int patience)
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
    pipeline_wait(r);
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

int pipeline_culprit(const struct pipeline *p, const struct running *r, char *how, size_t size, int *status)
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
