/* libcommon/stream/end.h - what is inside a stream's two ends, for those who write another kind
 *
 * A kind embeds struct stream_in (or stream_out) as its first member, fills the
 * operations and returns the address; stream.c calls through it, so programs
 * never know.  pipe_in.c and pipe_out.c are pipes and files, lp1/ is ZeroMQ. */
#ifndef PENSTOCK_END_H
#define PENSTOCK_END_H

#include "libcommon/stream/stream.h"

struct stream_in_ops {
    /* As stream_next.  Keeps header, end and waited below as they change. */
    enum stream_event (*next)(struct stream_in *in, struct unit *u, struct error *e);
    void (*commit)(struct stream_in *in, uint64_t seq);         /* both NULL: no matter */
    void (*finish)(struct stream_in *in);
    void (*close)(struct stream_in *in);        /* frees in, and header and name with it: stream_in_done */
};

struct stream_in {
    const struct stream_in_ops *ops;
    char *name;                 /* for messages; malloc'd */
    struct header header;       /* the last one read */
    struct stream_end end;      /* counted since that header */
    uint64_t bytes;             /* taken so far */
    double waited;              /* seconds spent waiting */
    int (*before_wait)(void *ctx, struct error *e);     /* call stream_in_waits before each wait */
    void *before_ctx;
};

struct stream_out_ops {
    int (*put_header)(struct stream_out *out, const struct header *h, struct error *e);
    /* The unit's body is final; q has been checked.  Counting is done by the caller. */
    int (*put_unit)(struct stream_out *out, struct unit *u, struct error *e);
    int (*put_end)(struct stream_out *out, struct error *e);
    int (*wants)(struct stream_out *out, uint64_t *q, uint64_t units, struct error *e);        /* NULL: what comes next */
    bool (*skips)(struct stream_out *out, uint64_t q);         /* as stream_out_skips; NULL: never */
    uint64_t (*window)(struct stream_out *out);                 /* as stream_out_window; NULL: 0 */
    int (*flush)(struct stream_out *out, struct error *e);
    int (*close)(struct stream_out *out, struct error *e);      /* as stream_out_close; ends in stream_out_done */
};

struct stream_out {
    const struct stream_out_ops *ops;
    char *name;
    struct stream_end end;      /* put since the last header */
    uint64_t q;                 /* the next one, once end.units > 0 */
    double waited;
    bool gone;                  /* the reader left */
    bool batch;                 /* flush is called before waits */
    bool begun;                 /* between header and end */
};

/* For kinds: set up (copies name; -1 out of memory) and take down the common part. */
int stream_in_base(struct stream_in *in, const struct stream_in_ops *ops, const char *name, struct error *e);
void stream_in_done(struct stream_in *in);
int stream_out_base(struct stream_out *out, const struct stream_out_ops *ops, const char *name, struct error *e);
void stream_out_done(struct stream_out *out);
/* Before each wait: 0, or -1 with e when what was to be flushed could not be. */
int stream_in_waits(struct stream_in *in, struct error *e);

/* Pipes and files.  spec: NULL or "-", or a path. */
struct stream_in *pipe_in_open(const char *spec, struct error *e);
struct stream_out *pipe_out_open(const char *spec, struct error *e);

/* ZeroMQ (lp1/): a TAIL, a HEAD. */
struct stream_in *tail_in_open(const char *spec, const struct stream_tail *tail, struct error *e);
struct stream_out *head_out_open(const char *spec, struct error *e);

/* Is spec a ZeroMQ endpoint: tcp://, ipc:// or inproc://, perhaps after "@"? */
bool endpoint_is(const char *spec);

#endif
