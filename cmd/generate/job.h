/* cmd/generate/job.h - what a run of generate consists of */
#ifndef PENSTOCK_GENERATE_JOB_H
#define PENSTOCK_GENERATE_JOB_H

#include "cmd/generate/row.h"
#include "cmd/shared/cli/machine.h"
#include "cmd/shared/model/load.h"
#include "cmd/shared/text/generation.h"
#include "kernels/models/generate/generate.h"
#include "kernels/text/chat.h"
#include "kernels/text/prompt.h"
#include "libcommon/cli/text_out.h"
#include "libcommon/stream/stream.h"

enum { TEXT_NEW_TOKENS = 256 };  /* of an answer, unless asked otherwise; speech ends by itself */

/* How a token is chosen, as asked; what was not given comes from generation_config.json. */
struct asked {
    bool sample;                /* --do-sample */
    const char *temperature;    /* one, or a list; NULL: not given */
    double top_p, min_p, penalty, length_penalty;
    double logprob_threshold, compression_threshold, no_speech_threshold;       /* 0: none */
    int64_t top_k, seed, beams, no_repeat, min_new;
    bool gave_top_k, gave_top_p, gave_min_p, gave_penalty, gave_beams, gave_length_penalty;
    bool gave_no_repeat, gave_min_new, gave_logprob_threshold, gave_compression_threshold, gave_no_speech_threshold;
};

struct job {
    /* options */
    const char *path, *base, *language, *task, *system;
    bool timestamps, condition, chat;
    bool no_timestamps, no_condition;   /* whatever the configuration says */
    int64_t batch_size, max_new_tokens;
    struct asked asked;
    /* the model */
    struct machine machine;
    struct loaded loaded;
    bool speech;                /* the model hears; else it reads */
    struct tokenizer *tokenizer;
    struct prompt prompt;       /* of speech */
    int32_t previous;           /* the token before what was said before */
    struct generation generation;
    /* what options and configuration come to */
    struct sampling sampling;
    double temperature[TEMPERATURES];   /* the first, and those of second thoughts */
    size_t temperatures, beams;
    double length_penalty, logprob_threshold, compression_threshold, no_speech_threshold;       /* thresholds: NAN none */
    struct tape *tape;
    struct generator generator;
    int default_language;       /* -1: none */
    enum task default_task;
    /* the batch in the making: rows in the order of the stream, failed ones between */
    struct row *row;
    struct row **going;         /* those in the batch, as they lie in it */
    double *silent;             /* their probabilities of no speech */
    size_t rows, good;          /* all; of them in the batch */
    size_t room;                /* rows at most: more failed ones than these make it go early */
    struct batch batch;
    struct generate_row *answer, *kept; /* kept: set aside while others are tried again */
    float *features;            /* one window's */
    int32_t *ids;               /* one prompt */
    struct text_out out;
    uint64_t samples, failed, tokens;
};

/* model.c: everything that --model says. */
int job_open(struct job *j, int64_t threads, struct error *e);
void job_close(struct job *j);

/* A generator for rows of so many tokens, prompt and answer (0: all that the model takes), with all
 * beams, in place of the last. */
int generator_make(struct job *j, size_t rows, size_t tokens, struct error *e);

/* sampling.c: what j->asked and j->generation come to. */
int sampling_settle(struct job *j, struct error *e);

/* speech.c and text.c: a sample as a row of the batch.  -1: it cannot be one, or STATUS_AGAIN. */
int speech_row_add(struct job *j, const struct sample *s, struct row *r, struct error *e);
int text_row_add(struct job *j, const struct sample *s, struct row *r, struct error *e);
/* prompts.c, when the batch is complete: prompts, with the languages that the rows name or the model hears. */
int speech_prompts(struct job *j, struct error *e);
/* The answers' windows are read; the batch becomes the next windows of the rows that have some. */
int speech_advance(struct job *j, struct error *e);
/* And room for its longest prompt and an answer. */
int text_room(struct job *j, size_t most, struct error *e);

/* chat.c: a talk, from lines of standard input. */
int chat_run(struct job *j, struct error *e);

/* batch.c: adds a sample; answers and writes the batch when it is full.  -1: the run is over. */
int job_sample(struct job *j, const struct sample *s, struct error *e);
/* Answers and writes what has been added. */
int job_flush(struct job *j, struct error *e);

/* answer.c: answers to the batch, and the windows that follow. */
int batch_answer(struct job *j, struct error *e);

/* write.c: one line of JSON.  -1 with STATUS_OK: its reader has left. */
int row_write(struct job *j, const struct row *r, struct error *e);

#endif
