/* libcommon/cli/pipe.c - see pipe.h */
#include "libcommon/cli/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void pipe_grow(int fd)
{
#ifdef F_SETPIPE_SZ
    fcntl(fd, F_SETPIPE_SZ, 1 << 20);
#else
    (void)fd;
#endif
}

void pipe_end_close(const struct pipe_end *p)
{
    if (!p->standard)
        close(p->fd);
}

int pipe_end_open(struct pipe_end *p, const char *spec, int flags, const char *remedy, struct error *e)
{
    bool output = (flags & O_ACCMODE) == O_WRONLY;
    struct stat st;
    *p = (struct pipe_end){ .standard = !spec || !strcmp(spec, "-"), .fd = output ? STDOUT_FILENO : STDIN_FILENO };
    if (p->standard)
        snprintf(p->name, sizeof p->name, "standard %s", output ? "output" : "input");
    else
        snprintf(p->name, sizeof p->name, "'%s'", spec);
    if (!p->standard && (p->fd = open(spec, flags | O_CLOEXEC, 0666)) < 0)
        return error_set(e, error_errno_status(errno), "cannot %s %s: %s", output ? "write" : "read", p->name,
                         strerror(errno));
    int rc = 0;
    if (fstat(p->fd, &st) < 0)
        rc = error_set(e, error_errno_status(errno), "cannot %s %s: %s", output ? "write" : "read", p->name,
                       strerror(errno));
    else if (isatty(p->fd))
        rc = error_set(e, STATUS_BAD, "%s is a terminal, and %s", p->name, remedy);
    else if (S_ISDIR(st.st_mode))
        rc = error_set(e, STATUS_BAD, "cannot %s %s: it is a directory", output ? "write" : "read", p->name);
    if (rc < 0) {
        pipe_end_close(p);
        return rc;
    }
    p->regular = S_ISREG(st.st_mode);
    p->old = p->regular && output && !p->standard;
    if (S_ISFIFO(st.st_mode))
        pipe_grow(p->fd);
    return 0;
}

int pipe_end_in(struct pipe_end *p, const char *spec, struct error *e)
{
    return pipe_end_open(p, spec, O_RDONLY, "a stream is binary: pipe one in, or name it with --in", e);
}

int pipe_end_out(struct pipe_end *p, const char *spec, struct error *e)
{
    return pipe_end_open(p, spec, O_WRONLY | O_CREAT,
                         "a stream is binary: pipe it on, or name a file with --out; stream-show prints one", e);
}

int pipe_end_empty(struct pipe_end *p)
{
    if (p->old && ftruncate(p->fd, 0) < 0)
        return -1;
    p->old = false;
    return 0;
}
