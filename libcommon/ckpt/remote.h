/* libcommon/ckpt/remote.h - a destination of checkpoints in a store: DEST/step-000500/NAME are objects
 *
 * The marker, complete.json, is written last, then the object DEST/latest, whose
 * text names the step.  The functions are those of dest.h. */
#ifndef PENSTOCK_CKPT_REMOTE_H
#define PENSTOCK_CKPT_REMOTE_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

struct ckpt_remote;
struct ckpt_remote *ckpt_remote_open(const char *url, uint64_t limit, struct error *e);
int ckpt_remote_file(struct ckpt_remote *d, uint64_t step, const char *name, uint64_t size, struct error *e);
int ckpt_remote_bytes(struct ckpt_remote *d, const void *data, size_t n, struct error *e);
int ckpt_remote_commit(struct ckpt_remote *d, uint64_t step, uint64_t best, struct error *e);
const char *ckpt_remote_newest(const struct ckpt_remote *d);
void ckpt_remote_close(struct ckpt_remote *d);

/* The newest complete checkpoint, copied to this machine: 1, 0 none, -1. */
int ckpt_remote_find(const char *url, char **found, struct error *e);

#endif
