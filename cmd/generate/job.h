/* cmd/generate/job.h - what a run of generate consists of */
#ifndef PENSTOCK_GENERATE_JOB_H
#define PENSTOCK_GENERATE_JOB_H

#include <stdio.h>

#include "cmd/shared/machine.h"
#include "cmd/shared/model_load.h"
#include "kernels/models/generate.h"
#include "kernels/text/prompt.h"
#include "libcommon/stream/stream.h"

struct row {                    /* a sample on its way out */
    char *id, *reference;       /* malloc'd; reference NULL: the sample had none */
    char *error;                /* malloc'd, NULL: it is a row of the batch */
    char *stage;                /* of the error */
    int language;               /* index, or -1: to be detected */
    bool detected;
};

struct job {
    /* options */
    const char *path, *base, *language, *task;
    bool timestamps;
    int64_t batch_size, max_new_tokens;
    /* the model */
    struct machine machine;
    struct loaded loaded;
    struct tokenizer *tokenizer;
    struct prompt prompt;
    struct rules rules;
    struct tape *tape;
    struct generator generator;
    int default_language;       /* -1: none */
    /* the batch in the making: rows in the order of the stream, failed ones between */
    struct row *row;
    size_t rows, good;          /* all; of them in the batch */
    size_t room;                /* rows at most: more failed ones than these make it go early */
    struct batch batch;
    struct generate_row *answer;
    float *features;            /* one sample's */
    FILE *out;
    uint64_t samples, failed, tokens;
};

/* model.c: everything that --model says. */
int job_open(struct job *j, int64_t threads, struct error *e);
void job_close(struct job *j);
int language_read(const struct job *j, struct str word, struct error *e);      /* index, or -1 */

/* batch.c: adds a sample; answers and writes the batch when it is full.  -1: the run is over. */
int job_sample(struct job *j, const struct sample *s, struct error *e);
/* Answers and writes what has been added. */
int job_flush(struct job *j, struct error *e);

/* write.c: one line of JSON. */
int row_write(struct job *j, const struct row *r, const struct generate_row *answer, struct error *e);

#endif
