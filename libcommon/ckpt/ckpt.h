/* libcommon/ckpt/ckpt.h - the checkpoint stream: files by name and bytes (docs/checkpoint.7)
 *
 * The writer is the trainer's side, the reader ckpt-write's.  Neither knows
 * what the files hold. */
#ifndef PENSTOCK_CKPT_H
#define PENSTOCK_CKPT_H

#include "libcommon/stream/stream.h"

enum { CKPT_CHUNK = 8 << 20, CKPT_NAME = 128 };
#define CKPT_STEP_MAX ((uint64_t)999999999999)

/* Names that may be files of a checkpoint: no directory, no leading dot. */
bool ckpt_name_ok(struct span name);

/* --- writing ------------------------------------------------------------------ */
struct ckpt_out;
/* spec: NULL or "-" standard output (a terminal is refused), or a path.  Writes the header. */
struct ckpt_out *ckpt_out_open(const char *spec, struct span run, const struct stage *stage, struct error *e);
/* Begins a file of exactly `size` bytes, then its bytes in pieces of any length. */
int ckpt_put_file(struct ckpt_out *o, uint64_t step, const char *name, uint64_t size, struct error *e);
int ckpt_put_bytes(struct ckpt_out *o, const void *data, size_t n, struct error *e);
/* Begin, all bytes. */
int ckpt_put_whole(struct ckpt_out *o, uint64_t step, const char *name, const void *data, size_t n, struct error *e);
/* The files since the last commit are a checkpoint.  best: the step to spare, or 0. */
int ckpt_put_commit(struct ckpt_out *o, uint64_t step, uint64_t best, struct error *e);
int ckpt_put_end(struct ckpt_out *o, struct error *e);
int ckpt_out_close(struct ckpt_out *o, struct error *e);        /* frees; NULL is fine */

/* --- reading ------------------------------------------------------------------ */
enum ckpt_event { CKPT_FAILED = -1, CKPT_EOF, CKPT_FILE, CKPT_BYTES, CKPT_COMMIT };

struct ckpt_record {
    uint64_t step;
    char name[CKPT_NAME + 1];   /* CKPT_FILE */
    uint64_t size;
    struct span data;           /* CKPT_BYTES: valid until the next call */
    uint64_t best;              /* CKPT_COMMIT: 0 none */
};

struct ckpt_in;
struct ckpt_in *ckpt_in_open(const char *spec, struct error *e);
/* What comes next, in an order that has been checked: a file's bytes add up to
 * its size before anything else follows, a commit has the step and the number
 * of files that it says.  CKPT_EOF comes only after END.  CKPT_FAILED: e says
 * where and why (truncated: STATUS_AGAIN). */
enum ckpt_event ckpt_next(struct ckpt_in *in, struct ckpt_record *r, struct error *e);
void ckpt_in_close(struct ckpt_in *in);

#endif
