/* libcommon/stream/format/header.h - the header: what a stream is and how it was made */
#ifndef PENSTOCK_HEADER_H
#define PENSTOCK_HEADER_H

#include "libcommon/stream/format/mp.h"
#include "libcommon/sys/error.h"

enum { HEADER_MAX = 1 << 20 };          /* bytes */

struct header {
    struct buf map;             /* the whole map, as bytes */
};

/* A stage's entry in the header is a map {"name", "version", options...}. */
struct stage {
    struct buf options;         /* pairs written with stage_put_*; n of them */
    uint32_t n;
    const char *name;
};
void stage_init(struct stage *st, const char *name);
void stage_put_int(struct stage *st, const char *key, int64_t v);
void stage_put_real(struct stage *st, const char *key, double v);
void stage_put_str(struct stage *st, const char *key, const char *v);
void stage_put_bool(struct stage *st, const char *key, bool v);
/* Appends it as the map that a header holds. */
void stage_write(struct buf *b, const struct stage *st);
void stage_release(struct stage *st);

/* A new header: run (16 bytes: the hash of the plan), samples of an epoch and epochs where known (0: unknown). */
int header_make(struct header *h, const uint8_t run[16], uint64_t samples, uint64_t epochs, const struct stage *first,
                struct error *e);
/* The same with one stage more. */
int header_append(struct header *h, const struct stage *st, struct error *e);
/* A header from bytes, checked in every part: version, run, stages, no key twice. */
int header_read(struct header *h, struct span map, struct error *e);
/* The same stages under another run id and other counts (0: unknown): what replays a stream in another order makes. */
int header_rerun(struct header *h, const uint8_t run[16], uint64_t samples, uint64_t epochs, struct error *e);
void header_init(struct header *h);
void header_release(struct header *h);
/* Facts of a header: all checked when it was read. */
struct span header_run(const struct header *h);         /* 16 bytes, unless another program made it: 1 to 64 */
uint64_t header_samples(const struct header *h);        /* of one epoch; 0 unknown */
uint64_t header_epochs(const struct header *h);         /* 0 unknown */
uint64_t header_total(const struct header *h);          /* samples of the whole run, all epochs; 0 unknown */
/* The list of stages, as one object. */
bool header_stages(const struct header *h, struct span *stages);
/* The value of `key` in the last stage called `stage`: a whole object; false if there is none. */
bool header_option(const struct header *h, const char *stage, const char *key, struct span *value);
/* The same as text or as a number; false also if it is of another type. */
bool header_option_str(const struct header *h, const char *stage, const char *key, struct span *text);
bool header_option_real(const struct header *h, const char *stage, const char *key, double *v);

#endif
