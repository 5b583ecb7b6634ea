/* libcommon/record/part.h - one stream file and its index, for the writer and the reader */
#ifndef PENSTOCK_RECORD_PART_H
#define PENSTOCK_RECORD_PART_H

#include "libcommon/stream/format/control.h"
#include "libcommon/stream/format/header.h"

enum { INDEX_HEAD = 24, INDEX_ENTRY = 16 };

struct part_entry { uint64_t offset, sample; };

void part_entry_put(struct buf *b, struct part_entry en);
struct part_entry part_entry_get(const uint8_t *p);
void part_index_head(struct buf *b, uint64_t units, uint64_t samples);
/* -1: not the head of an index of a file of `size` bytes. */
int part_index_check(const uint8_t head[INDEX_HEAD], uint64_t size, uint64_t *units, uint64_t *samples);

/* A walk over a stream file, from its first byte, in a memory map. */
enum part_event { PART_BAD = -1, PART_EOF, PART_HEADER, PART_UNIT, PART_END };
struct part_walk {
    const uint8_t *data;
    uint64_t size, at, dropped; /* at: after what was met last; dropped: pages given back below */
    bool check;                 /* bodies against their checksums */
    bool inside;                /* between a header and its end */
    uint32_t crc;               /* of the stream so far */
    struct span header;
    struct control control;     /* of the unit or the end met last */
    uint64_t start;             /* where it begins */
    struct span body;
};
/* What comes next; PART_BAD leaves `at` after the last whole object (why in e). */
enum part_event part_walk_next(struct part_walk *w, struct error *e);

#endif
