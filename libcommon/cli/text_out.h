/* libcommon/cli/text_out.h - where a program's text goes: standard output, or the file that --out names
 *
 * A reader that has left has had enough: a call then returns -1 with STATUS_OK, and
 * the program ends without a word. */
#ifndef PENSTOCK_TEXT_OUT_H
#define PENSTOCK_TEXT_OUT_H

#include <stddef.h>
#include <stdio.h>

#include "libcommon/sys/error.h"

struct text_out {
    FILE *file;
    char name[300];             /* for messages: "standard output", "'x.jsonl'" */
};

/* spec: NULL or "-" standard output, else a path. */
int text_out_open(struct text_out *t, const char *spec, struct error *e);
int text_out_put(struct text_out *t, const void *text, size_t n, struct error *e);
int text_out_flush(struct text_out *t, struct error *e);
/* Flushes, and closes what open opened.  Fine if open failed, or again. */
int text_out_close(struct text_out *t, struct error *e);

#endif
