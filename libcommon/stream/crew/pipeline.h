/* libcommon/stream/crew/pipeline.h - 'a | b | c' run by ourselves, so that the death of any stage is seen
 *
 * sh -c would show the status of c only.  The words are split as a shell splits
 * them, with quotes and backslashes; what only a shell can do (; & < > $ ` * in
 * bare words) is refused, not guessed. */
#ifndef PENSTOCK_PIPELINE_H
#define PENSTOCK_PIPELINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "libcommon/sys/cpus.h"

enum { PIPELINE_STAGES = 16, PIPELINE_WORDS = 256 };

struct pipeline {
    char *text;                 /* owns the words */
    char *word[PIPELINE_WORDS];
    char **stage[PIPELINE_STAGES];      /* each an argv, ended by NULL */
    int n;
};
int pipeline_parse(struct pipeline *p, const char *text, struct error *e);
/* One stage, this argv; the words are borrowed. */
int pipeline_single(struct pipeline *p, char *const *argv, struct error *e);
void pipeline_release(struct pipeline *p);
/* The name of a stage's program, without directories. */
const char *pipeline_name(const struct pipeline *p, int stage);

struct running {
    pid_t pid[PIPELINE_STAGES];         /* 0: reaped */
    int status[PIPELINE_STAGES];        /* of wait(2), once reaped */
    int n, in, out;                     /* our ends of its pipes, non-blocking; -1 closed */
};
int pipeline_start(const struct pipeline *p, const struct cpus *cpus, struct running *r, struct error *e);
/* Kills what still runs, waits for all, closes.  patience: milliseconds in which what has closed
 * its output may end by itself, so that it is known how. */
void pipeline_kill(struct running *r, int patience);
/* Waits for all (whose input has been closed). */
void pipeline_wait(struct running *r);
/* After kill or wait: which stage failed first in the line, and how, in words; -1: none did. */
int pipeline_culprit(const struct pipeline *p, const struct running *r, char *how, size_t size, int *status);

#endif
