/* libcommon/stream/stream.h - a stream of units, whatever carries it
 *
 * What travels is drawn in docs/stream.7: a header, units (a control map and a
 * body), an end.  An end of a stream is an object with a few functions; pipes
 * and files are one implementation (pipe_in.c, pipe_out.c), ZeroMQ roles (lp1) another. */
#ifndef PENSTOCK_STREAM_H
#define PENSTOCK_STREAM_H

#include "libcommon/stream/format/header.h"
#include "libcommon/stream/format/unit.h"

/* --- reading -------------------------------------------------------------------- */
enum stream_event { STREAM_FAILED = -1, STREAM_EOF, STREAM_HEADER, STREAM_UNIT, STREAM_END };

struct stream_in;               /* end.h has what is inside, for those who write another kind */
/* spec: NULL or "-" standard input (a terminal is refused), a path, tcp:// or ipc:// ("@" binds). */
struct stream_in *stream_in_open(const char *spec, struct error *e);
/* What comes next.  STREAM_HEADER fills stream_in_header; STREAM_UNIT fills *u;
 * STREAM_END has been checked against what was counted; STREAM_EOF comes only
 * after an end.  STREAM_FAILED: e says where (byte, unit) and why.  A truncated
 * stream has delivered all its valid units before: STATUS_BAD of a file,
 * STATUS_AGAIN of a pipe (the stage before died).  Also STREAM_FAILED, with
 * STATUS_AGAIN: SIGINT or SIGTERM while it waited (if stop_install was called). */
enum stream_event stream_next(struct stream_in *in, struct unit *u, struct error *e);
/* Calls `flush` each time before it waits for bytes; -1 from there fails the read, with e as filled there. */
void stream_in_before_wait(struct stream_in *in, int (*flush)(void *ctx, struct error *e), void *ctx);
const char *stream_in_name(const struct stream_in *in);     /* for messages: "standard input", "'x.stream'" */
const struct header *stream_in_header(const struct stream_in *in);
const struct stream_end *stream_in_end(const struct stream_in *in);     /* after STREAM_END */
uint64_t stream_in_bytes(const struct stream_in *in);   /* taken so far: where the next object begins */
double stream_in_waited(const struct stream_in *in);    /* seconds spent waiting for bytes */
void stream_in_close(struct stream_in *in);

/* The consumer at the end of a ZeroMQ pipeline (docs/protocol.7): where it goes on, and how it knows itself. */
struct stream_tail {
    const char *head;           /* the HEAD's endpoint; NULL is an error if the input is an endpoint */
    uint64_t next;              /* the first unit wanted */
    uint8_t run[16];            /* of the plan, if next > 0 or it is known; else zeros */
    /* a local directory of this run, whose lock keeps a second consumer out; NULL: none is local */
    const char *dir;
};
/* As stream_in_open; of a pipe or file the tail is not used. */
struct stream_in *stream_in_open_tail(const char *spec, const struct stream_tail *tail, struct error *e);
bool stream_in_is_endpoint(const struct stream_in *in);
/* All units below seq are durable: HEAD may forget them.  On a pipe nothing happens. */
void stream_in_commit(struct stream_in *in, uint64_t seq);
/* The consumer has ended well: stream_in_close then tells everybody that the run is over. */
void stream_in_finish(struct stream_in *in);

/* --- writing -------------------------------------------------------------------- */
struct stream_out;
/* A file is emptied when its header is written, not before. */
struct stream_out *stream_out_open(const char *spec, struct error *e);
/* Each put is handed over before it returns, unless stream_out_batch promises that
 * stream_out_flush is called before whatever may wait: a unit must not be held back
 * while the next one is waited for. */
void stream_out_batch(struct stream_out *out);
int stream_out_flush(struct stream_out *out, struct error *e);
int stream_put_header(struct stream_out *out, const struct header *h, struct error *e);
/* A sample that makes its unit larger than UNIT_MAX is turned into an error record first.
 * q must follow the last one. */
int stream_put_unit(struct stream_out *out, struct unit *u, struct error *e);
int stream_put_end(struct stream_out *out, struct error *e);
/* What a source puts next: 1 unit *q (on a pipe always the one it holds; an endpoint may
 * go back or forward), 0 nothing more: all of `units` is put (on an endpoint: and durable
 * where it was wanted), -1 failed.  Between header and end. */
int stream_out_wants(struct stream_out *out, uint64_t *q, uint64_t units, struct error *e);
/* Is it known that unit q need not be computed, since the consumer has it from before?  It is put all the same. */
bool stream_out_skips(struct stream_out *out, uint64_t q);
const struct stream_end *stream_out_end(const struct stream_out *out);  /* counted so far, since the header */
double stream_out_waited(const struct stream_out *out);
uint64_t stream_out_window(struct stream_out *out);     /* units put and not yet taken; 0 on a pipe, which does not tell */
/* Flushes, closes and frees; a full disk shows here at the latest.  1: the reader left early (EPIPE), which ends a
 * filter quietly. */
int stream_out_close(struct stream_out *out, struct error *e);
/* After a put returned -1: did the reader leave (EPIPE)? */
bool stream_out_gone(const struct stream_out *out);

#endif
