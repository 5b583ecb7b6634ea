/* cmd/wer/score.h - the counts of a corpus: all rows, each language, the worst rows */
#ifndef PENSTOCK_WER_SCORE_H
#define PENSTOCK_WER_SCORE_H

#include <stdio.h>

#include "kernels/text/normalize/normalize.h"
#include "kernels/text/wer.h"
#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct row {                    /* one of the worst: owns its texts */
    char *id;
    struct text reference, text;        /* as normalised */
    struct wer_count words;
};

struct language {               /* rows that name it */
    char *code;                 /* malloc'd */
    struct wer_count words, characters;
    uint64_t rows;
};

struct score {
    struct normalizer normalizer;
    struct spelling spelling;
    struct wer_count words, characters;
    uint64_t rows, failed, unscored;
    struct row *worst;          /* most errors first */
    size_t n_worst, worst_room;
    struct language *language;  /* in the order they came */
    size_t n_languages;
};

/* Counts the lines of `in`, called `from` in errors.  normalizer and worst_room are set; the rest begins as zeros. */
int score_lines(struct score *s, FILE *in, const char *from, struct error *e);
void score_release(struct score *s);

/* report.c: the result, for machines and for people. */
void report_json(struct buf *b, const struct score *s);
void report_text(struct buf *b, const struct score *s);

#endif
