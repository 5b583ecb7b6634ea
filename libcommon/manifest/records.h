/* libcommon/manifest/records.h - the bytes of a manifest, record by record: lines of JSON, or records of CSV and TSV
 *
 * A window moves over the manifest, so that memory does not grow with it, and every byte
 * that is passed goes into one SHA-256 sum. */
#ifndef PENSTOCK_RECORDS_H
#define PENSTOCK_RECORDS_H

#include <openssl/evp.h>

#include "libcommon/store/store.h"

struct records {
    struct object *bytes;       /* borrowed */
    char separator;             /* of CSV and TSV; 0: lines of JSON */
    EVP_MD_CTX *digest;         /* of all bytes that were passed */
    struct buf window;          /* bytes of the manifest from `base` on */
    uint64_t base;
    size_t at;                  /* in the window: the next record */
    struct span record;         /* what records_next found, with its newline */
    uint64_t line, lines;       /* where it begins, from 1; how many it has */
    bool cut;                   /* it is longer than is read; its line goes on */
};

/* -1: out of memory, or no sum can be begun; records_release is due all the same. */
int records_init(struct records *r, struct object *bytes, struct error *e);
void records_release(struct records *r);

/* More bytes at the end of the window: 1, 0 there are none, -1. */
int records_fill(struct records *r, struct error *e);
/* The bytes of the window that were not passed yet. */
struct span records_rest(const struct records *r);
/* The bytes that no record begins with, as a byte order mark. */
void records_skip(struct records *r, size_t n);
/* 1: r->record, valid until records_pass; 0 the end; -1. */
int records_next(struct records *r, struct error *e);
/* Goes on behind r->record, and behind its line if it was cut.  0, or -1. */
int records_pass(struct records *r, struct error *e);

#endif
