/* libcommon/stream/crew/pipeline.h - 'a | b | c' in words, as we run it ourselves (running.h)
 *
 * They are split as a shell splits them, with quotes and backslashes; what only a
 * shell can do (; & < > $ ` * in bare words) is refused, not guessed. */
#ifndef PENSTOCK_PIPELINE_H
#define PENSTOCK_PIPELINE_H

#include "libcommon/sys/error.h"

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

#endif
