/* libcommon/ckpt/dest.h - where checkpoints are kept: a directory that is right whatever is killed
 *
 * A path, or a URL of a store that can be written to (remote.h).
 * Layout and order of writes: docs/checkpoint.7.  Errors name the file. */
#ifndef PENSTOCK_CKPT_DEST_H
#define PENSTOCK_CKPT_DEST_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* --- writing ------------------------------------------------------------------ */
struct ckpt_dest;
/* Makes the directory, waits for another writer to leave (at most `patience`
 * seconds), removes what a kill left.  limit: checkpoints to keep, 0 all. */
struct ckpt_dest *ckpt_dest_open(const char *path, uint64_t limit, double patience, struct error *e);
/* The bytes of one file of checkpoint `step`; the first file begins the checkpoint. */
int ckpt_dest_file(struct ckpt_dest *d, uint64_t step, const char *name, uint64_t size, struct error *e);
int ckpt_dest_bytes(struct ckpt_dest *d, const void *data, size_t n, struct error *e);
/* All files are there: makes them the newest complete checkpoint, then removes
 * what the limit does not spare (best: a step that is spared; 0 none). */
int ckpt_dest_commit(struct ckpt_dest *d, uint64_t step, uint64_t best, struct error *e);
const char *ckpt_dest_newest(const struct ckpt_dest *d);    /* path of the newest complete one, or NULL */
/* Removes what is not committed, frees; NULL is fine. */
void ckpt_dest_close(struct ckpt_dest *d);

/* --- finding ------------------------------------------------------------------ */
/* The newest complete checkpoint of a directory (of a store: a copy of it on this machine): 1 and its path (malloc'd);
 * 0 none there, or no such directory; -1 a marker that does not match its files, ... */
int ckpt_find(const char *path, char **found, struct error *e);
/* Does the directory hold complete.json and every file it lists, in the size and with the SHA-256 it lists? 0 or -1. */
int ckpt_check(const char *dir, struct error *e);

#endif
