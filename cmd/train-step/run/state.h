/* cmd/train-step/run/state.h - what a checkpoint says of the run: trainer_state.json */
#ifndef PENSTOCK_TRAIN_STATE_H
#define PENSTOCK_TRAIN_STATE_H

#include "cmd/train-step/data/source.h"
#include "cmd/train-step/run/options.h"
#include "libcommon/format/json.h"

enum { RUN_MAX = 64 };

struct tally {                  /* since the last line of metrics */
    double sum;                 /* of the loss, over tokens */
    uint64_t tokens, samples, steps;
};

struct train_state {
    uint64_t step, total;       /* steps done; of how many (0 unknown) */
    bool finished;              /* no further step comes */
    double epoch;               /* epochs done, with their fraction */
    uint64_t tokens;            /* supervised ones, all steps */
    struct cursor cursor;       /* where the stream goes on */
    uint8_t run[RUN_MAX];       /* of the stream's header */
    size_t run_size;
    char base[17];              /* checksum of the weights that an adapter stands on; "" of a whole model */
    uint64_t best_step;         /* of the checkpoint with the least of --metric-for-best-model; 0 none */
    double best_metric;
    json_t *log;                /* log_history: an array of objects */
    struct tally tally;
};

int state_init(struct train_state *s, struct error *e);
void state_release(struct train_state *s);
/* The file's text into b. */
int state_write(const struct train_state *s, const struct options *o, struct buf *b, struct error *e);
/* Reads DIR/trainer_state.json into an initialised s; warns of options that the run had otherwise. */
int state_read(struct train_state *s, const struct options *o, const char *dir, struct error *e);

#endif
