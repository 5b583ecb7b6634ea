/* libcommon/ckpt/remote_impl.h - what remote.c (writing) and remote_steps.c (what is there) share */
#ifndef PENSTOCK_CKPT_REMOTE_IMPL_H
#define PENSTOCK_CKPT_REMOTE_IMPL_H

#include "libcommon/ckpt/marker.h"
#include "libcommon/ckpt/remote.h"
#include "libcommon/store/store.h"

struct remote_step { uint64_t step; bool complete; };

struct ckpt_remote {
    char *url;                  /* without a slash at its end */
    uint64_t limit;
    struct remote_step *steps;  /* what is there, ascending */
    size_t n;
    char *newest;
    bool writing;               /* a checkpoint is begun */
    bool leftover;              /* a kill left some of its files */
    struct marker marker;
    struct store_writer *file;  /* being written */
    int compare;                /* or a temporary file: to be compared with what is there; -1 */
    struct object_info there;
    uint32_t crc;
    uint64_t step;
};

char *remote_step_url(const struct ckpt_remote *d, uint64_t step, const char *name);    /* malloc'd */
char *remote_step_prefix(const struct ckpt_remote *d);     /* of all steps */
char *remote_latest_url(const struct ckpt_remote *d);
int remote_steps_read(struct ckpt_remote *d, struct error *e);
/* The complete step that latest names, else the highest that is complete; never `except`. */
bool remote_newest(const struct ckpt_remote *d, uint64_t except, uint64_t *step);
/* First its marker goes. */
int remote_step_remove(struct ckpt_remote *d, uint64_t step, struct error *e);
/* Objects of a step that its marker does not name go. */
int remote_step_tidy(struct ckpt_remote *d, uint64_t step, struct error *e);
/* The rule of steps_limit: the newest, the best, then the latest before it. */
int remote_limit(struct ckpt_remote *d, uint64_t newest, uint64_t best, struct error *e);
int remote_latest_point(struct ckpt_remote *d, uint64_t step, struct error *e);

#endif
