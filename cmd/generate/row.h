/* cmd/generate/row.h - a sample on its way through generate */
#ifndef PENSTOCK_GENERATE_ROW_H
#define PENSTOCK_GENERATE_ROW_H

#include "kernels/models/generate/generate.h"
#include "kernels/text/prompt.h"
#include "libcommon/sys/error.h"

struct row {
    struct text id, reference;
    bool referenced;            /* the sample had a reference */
    char *error;                /* malloc'd, NULL: it is a row of the batch */
    char *stage;                /* of the error */
    int language;               /* index, or -1: to be detected */
    bool detected;
    enum task { TASK_UNSAID, TASK_TRANSCRIBE, TASK_TRANSLATE } task;
    size_t limit;               /* tokens of prompt and answer; 0: not asked yet */
    bool condition;             /* its next window hears what the last ones said */
    uint64_t key;               /* for draws */
    struct tokens said;         /* the answer, without its end */
    bool ended;
    int32_t end;                /* which token, if ended */
    bool timestamps;
    struct sound {              /* of speech, what is heard window by window */
        float *features;        /* [bins, frames], malloc'd */
        size_t frames, at;      /* all; where the window begins */
    } sound;
    struct utterance *utterance;        /* malloc'd; tokens are those of `said` */
    size_t utterances;
};

/* n tokens more of its answer. */
int row_extend(struct row *r, const struct generate_row *answer, size_t n, struct error *e);
void row_clear(struct row *r);

#endif
