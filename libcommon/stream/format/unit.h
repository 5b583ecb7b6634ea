/* libcommon/stream/format/unit.h - samples that travel together */
#ifndef PENSTOCK_UNIT_H
#define PENSTOCK_UNIT_H

#include "libcommon/stream/format/sample.h"
#include "libcommon/sys/crc32c.h"

/* The largest body and the largest control map before it, in bytes, and the most samples of a unit. */
enum { UNIT_MAX = 64 << 20, CONTROL_MAX = 2048, UNIT_SAMPLES = 1 << 20 };

struct unit {
    uint64_t q;                 /* sequence number */
    uint64_t epoch;
    uint64_t failed;            /* samples with an error, counted when read or written */
    struct sample *sample;      /* k of them, owned by the unit */
    uint32_t k, room;
    struct arena arena;         /* memory of put values */
    struct buf body;            /* as read: samples point into it */
};
void unit_init(struct unit *u);
void unit_release(struct unit *u);
/* Empties u for a source to fill: samples are then added with unit_add (id copied). */
void unit_begin(struct unit *u, uint64_t q, uint64_t epoch);
/* Pointers that earlier calls returned are void after it. */
struct sample *unit_add(struct unit *u, const char *id, size_t n, struct error *e);
/* body as bytes (the wire's second map), for writers. */
int unit_encode(const struct unit *u, struct buf *body, struct error *e);
/* Reads samples out of `u->body`; -1 with the reason. */
int unit_decode(struct unit *u, uint64_t k, struct error *e);

/* What an end says of all units before it. */
struct stream_end { uint64_t units, samples, errors; };

/* --- a body in pieces, so that large values are not copied to be written ------------ */

/* The body is: text up to piece[0].text_end, piece[0].far, text up to piece[1].text_end, ... and the rest of text. */
struct gather {
    struct buf text;            /* what is small or new */
    struct gather_piece {
        size_t text_end;
        struct span far;        /* a large value where it lies: in the unit */
    } *piece;
    size_t n, room;
    size_t size;                /* of the whole body */
};
void gather_init(struct gather *g);
void gather_release(struct gather *g);
/* The i-th span of the body, i < 2 n + 1; may be empty. */
struct span gather_span(const struct gather *g, size_t i);
uint32_t gather_crc(const struct gather *g);
/* Turns the largest samples into error records until the body is UNIT_MAX at most, then fills g, which is valid
 * until the unit changes. */
int unit_fit(struct unit *u, struct gather *g, const char *stage, struct error *e);
/* Counts failed samples into u->failed. */
void unit_count(struct unit *u);

#endif
