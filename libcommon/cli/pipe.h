/* libcommon/cli/pipe.h - an end of a program: the pipe or file that --in or --out names */
#ifndef PENSTOCK_PIPE_H
#define PENSTOCK_PIPE_H

#include <stdbool.h>

#include "libcommon/sys/error.h"

struct pipe_end {
    int fd;
    bool standard;              /* input or output of the process: not ours to close */
    bool regular;               /* a file: it does not wait, and may be cut for good */
    bool old;                   /* an output file that pipe_end_empty has not emptied yet */
    char name[300];             /* for messages: "standard input", "'x.stream'" */
};

/* spec: NULL or "-" the standard one, else a path.  flags: open(2)'s, O_RDONLY or O_WRONLY with others.
 * A terminal is refused: "... is a terminal, and `remedy`"; so is a directory.  A pipe is made to hold
 * 1 MiB, where that is allowed.  -1 with e; then nothing is open. */
int pipe_end_open(struct pipe_end *p, const char *spec, int flags, const char *remedy, struct error *e);
void pipe_end_close(const struct pipe_end *p);

/* The ends of a stream of samples. */
int pipe_end_in(struct pipe_end *p, const char *spec, struct error *e);
int pipe_end_out(struct pipe_end *p, const char *spec, struct error *e);
/* Before the first byte goes out, and not before: whoever is refused earlier leaves the old file as it was.  -1: errno. */
int pipe_end_empty(struct pipe_end *p);

/* As pipe_end_open does it: nothing happens to what is no pipe, or over the user's limit. */
void pipe_grow(int fd);

#endif
