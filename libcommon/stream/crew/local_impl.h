/* libcommon/stream/crew/local_impl.h - what local.c (units in, the loop) and local_out.c (results out) share */
#ifndef PENSTOCK_LOCAL_IMPL_H
#define PENSTOCK_LOCAL_IMPL_H

#include "libcommon/cli/pipe.h"
#include "libcommon/stream/crew/local.h"
#include "libcommon/stream/crew/wire.h"

enum { WINDOW = 8192 };

struct fan_run {
    const struct fan *f;
    const struct common *c;
    struct metrics *metrics;
    struct pipe_end in, out;
    struct wire wire;
    struct shadows shadows;
    struct crew *crew;
    bool any, inside;           /* a header has come; its end has not */
    bool hungry, eof;           /* what was read is used up; no more will come */
    bool at_end, truncated;     /* this stream's end has come; none will */
    bool drain, ending;         /* what is inside goes out and nothing comes in; then the copies have been told to end */
    bool gone;                  /* whoever read left */
    uint64_t first, taken, put;                         /* of this stream: its first q; units in; units out */
    struct { struct control c; struct blob *body; } ring[WINDOW];      /* results by number */
    uint64_t bytes;                                     /* between in and out, as they came in */
    uint64_t size[WINDOW];                              /* of each input */
    struct buf pending;
    struct stream_sum sum;                              /* of what went out of this stream */
    struct stream_end total;                            /* of those before */
    double began, stopped, told, wait_in, wait_crew, wait_out;
    struct error error;
    bool failed;
};

int fan_fail(struct fan_run *r, const struct error *e);        /* it cannot go on; returns -1 */

/* A stream begins: its header, of which r->crew gave a blob.  And a result, in whatever order. */
void fan_header(void *ctx, struct blob *header);
void fan_result(void *ctx, const struct control *c, struct blob *body);
/* Results whose turn has come. */
int fan_put(struct fan_run *r);
/* What is pending, and body (NULL: none) behind it. */
int fan_flush(struct fan_run *r, struct blob *body);
/* All results are out: the end, if the input had one. */
int fan_stream_end(struct fan_run *r);
/* All streams are out. */
int fan_close(struct fan_run *r);

#endif
