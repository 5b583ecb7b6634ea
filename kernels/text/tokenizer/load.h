/* kernels/text/tokenizer/load.h - a tokenizer.json being read; for the files load_*.c
 *
 * The functions return 0, or -1 with the reason in s.why. */
#ifndef PENSTOCK_TEXT_LOAD_H
#define PENSTOCK_TEXT_LOAD_H

#include "kernels/text/tokenizer/scan.h"
#include "kernels/text/tokenizer/tables.h"

struct load {
    struct tokenizer *t;
    struct scan s;
    /* values met on the way; merges: only if they came before vocab */
    struct scan added, normalizer, pre, decoder, merges;
    struct scan dropout, prefix, suffix, ignore, type, fallback;
    bool have_vocab, have_merges;
    int32_t times;              /* ids from here on are timestamps that the file leaves out */
    int32_t (*triple)[3];       /* left, right, merged */
    size_t triples, room;
    struct text spare[2];
};

int load_refuse(struct load *l, const char *what);
/* load_merges.c: the list of merges, which the reader stands before, to triples. */
int load_merges(struct load *l);
/* load_tables.c: what encoding needs at byte level or with byte fallback; names as bytes, once all are known. */
int load_byte_level(struct load *l);
int load_fallback(struct load *l);
int load_bytes(struct load *l);
/* load_added.c: added tokens into the vocabulary and the tree; then their flags. */
int load_added(struct load *l);
int load_flags(struct load *l);

#endif
