/* cmd/tokenize/job.h - what tokenize was asked to do, with which model, and how often it had to bend */
#ifndef PENSTOCK_TOKENIZE_JOB_H
#define PENSTOCK_TOKENIZE_JOB_H

#include "cmd/shared/text/columns.h"
#include "kernels/text/chat.h"
#include "kernels/text/prompt.h"
#include "libcommon/stream/filter.h"

struct job {
    /* options */
    const char *model, *language, *task, *over_long, *loss_on;
    bool timestamps, keep, mixed;       /* mixed: --timestamp-probability was given */
    double timestamp_probability, previous_probability;
    int64_t max_length, seed;

    /* the model: model.c */
    char model_type[64];
    struct tokenizer *t;
    struct encoder *e;
    int64_t limit, vocab_size;          /* positions and ids of the model; 0: its config does not say */
    bool whisper;
    struct prompt prompt;               /* whisper */
    int default_language;               /* index of a language, or -1 */
    const struct chat_template *chat;   /* the others */
    int32_t bos;

    /* the row at hand: its tokens, and which of them are learnt */
    struct tokens ids;
    unsigned char *learnt;
    size_t learnt_room;
    struct chat_row talk;

    uint64_t cut, dropped, untimed, no_language;
};

/* Reads config.json, tokenizer.json, tokenizer_config.json, generation_config.json. */
int model_open(struct job *j, struct error *e);
void job_release(struct job *j);

/* One sample: its text becomes input_ids and labels.  As filter.h's `sample`. */
int job_sample(void *ctx, struct sample *s, uint64_t epoch, struct error *e);
/* The two kinds: fill ids and learnt.  1 done; 0 dropped, e says why; -1 failed. */
int whisper_row(struct job *j, struct sample *s, uint64_t epoch, struct error *e);
int chat_row(struct job *j, const struct sample *s, struct error *e);

/* row.c: a result of kernels/text as an error: returns -1. */
int text_error(int bad, const char *why, struct error *e);
/* Marks tokens [from, n) of the row as learnt, those before not. */
int learnt_from(struct job *j, size_t from, struct error *e);
/* What to do with a row of n tokens where most are taken: 1 cut; 0 drop; -1 fail, both with e. */
int over_long(struct job *j, size_t n, size_t most, struct error *e);

/* Prints each row as a line of text, what is learnt in brackets.  Returns the exit status. */
int show_run(struct job *j, const struct common *c);

#endif
