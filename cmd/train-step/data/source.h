/* cmd/train-step/data/source.h - samples one after another, and where we are among them
 *
 * Failed records are passed over and counted.  The position is kept in units and
 * samples, so that a checkpoint can say what it has used. */
#ifndef PENSTOCK_TRAIN_SOURCE_H
#define PENSTOCK_TRAIN_SOURCE_H

#include "libcommon/stream/ahead.h"

struct cursor {
    uint64_t next;              /* unit that is used next */
    uint64_t offset;            /* samples of it that are used already */
    uint64_t skipped;           /* failed records before it */
};

enum source_event {
    SOURCE_FAILED = -1,
    SOURCE_SAMPLE,
    SOURCE_EPOCH,               /* the next sample is of another epoch or stream: told once */
    SOURCE_END,
    SOURCE_STOPPED,             /* SIGINT or SIGTERM */
};

struct source {
    struct stream_in *in;
    struct unit unit;
    uint32_t at;                /* sample of the unit that comes next */
    struct cursor cursor;
    uint64_t epoch;             /* of the sample given last; streams that follow count on */
    uint64_t arrived, past;     /* epoch of the unit read last; epochs of the streams before */
    uint64_t base, first;       /* a unit counts as base + q - first: streams may follow each other (cat a b) */
    uint64_t after;             /* the unit that comes next in the stream, counted so */
    uint64_t samples, failed;   /* seen by this process */
    bool loaded, begun, headed, boundary;
    /* Looks at the header of a stream that follows the first; -1 ends the run. */
    int (*header)(void *ctx, const struct header *h, struct error *e);
    void *ctx;
};

/* Opens the stream and reads its header.  tail: where an endpoint goes on; NULL for a pipe or file.
 * ahead: how far a thread reads before it is asked; NULL: not at all. */
int source_open(struct source *s, const char *spec, const struct stream_tail *tail, const struct ahead_limits *ahead,
                struct error *e);
/* From here on: units used before are read and dropped.  Before the first source_next. */
void source_seek(struct source *s, const struct cursor *c);
/* *sample lives until the next call. */
enum source_event source_next(struct source *s, struct sample **sample, struct error *e);
/* A sample just given turned out to be unusable: counted as failed. */
void source_reject(struct source *s);
/* Seconds in which training stood still for samples: what a thread did meanwhile is not counted. */
double source_waited(const struct source *s);
void source_close(struct source *s);

#endif
