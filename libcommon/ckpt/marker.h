/* libcommon/ckpt/marker.h - complete.json, made as the files of a checkpoint are written: names, sizes, SHA-256 */
#ifndef PENSTOCK_CKPT_MARKER_H
#define PENSTOCK_CKPT_MARKER_H

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/store/checksum.h"

struct marker {
    struct buf text;
    uint64_t files;
    char name[CKPT_NAME + 1];   /* of the file being written */
    uint64_t size, written;
    struct checksum_run *sha;
};

void marker_init(struct marker *m);
void marker_release(struct marker *m);
void marker_begin(struct marker *m);            /* a checkpoint */
int marker_file(struct marker *m, const char *name, uint64_t size, struct error *e);   /* a file of it */
/* n more of its bytes: are they still its own?  And when they are written. */
int marker_room(const struct marker *m, size_t n, struct error *e);
void marker_bytes(struct marker *m, const void *data, size_t n);
int marker_file_end(struct marker *m, struct error *e);
int marker_end(struct marker *m, struct error *e);      /* m->text is whole */

#endif
