/* libcommon/stream/crew/shadow.h - a large body in a pipe of our own, beside its bytes in memory
 *
 * What passes from pipe to pipe would be copied into pages that are made for it,
 * which costs more than reading it.  So the pages that it came in are kept as
 * well, by tee(2), and passed on by splice(2): nobody can change them meanwhile,
 * and whoever gets them may do with them what he likes.  The bytes in memory are
 * for looking at, and for a second time; of what is passed on once, only what is
 * looked at is read.  Where the kernel has no such calls, or grants no more pipes,
 * bodies have no shadow and are written as ever. */
#ifndef PENSTOCK_SHADOW_H
#define PENSTOCK_SHADOW_H

#include <sys/types.h>

#include "libcommon/stream/crew/blob.h"

enum { SHADOW_MIN = 64 << 10 };         /* smaller bodies are not worth it */

/* A few pipes, made when they are needed.  One thread uses them. */
struct shadows {
    struct shadow *idle;
    int made, nowhere;          /* nowhere: where bytes are dropped without being copied */
    bool refused;
};
void shadows_init(struct shadows *s);
void shadows_release(struct shadows *s);        /* after the bodies */
bool shadow_fits(int fd);               /* is it a pipe? */

/* Gives b, of blob_new, an empty shadow, if there is one left. */
void shadow_add(struct shadows *s, struct blob *b);
/* What a read of fd, a pipe, would put at b->data + at goes to the shadow as well, n bytes at most.  How many did: so many
 * are to be read now.  0: none. */
size_t shadow_tee(struct blob *b, int fd, size_t at, size_t n);
/* Drops n bytes of fd that b's shadow has got.  How many it did: 0, they are to be read. */
size_t shadow_skip(const struct blob *b, int fd, size_t n);
/* Bytes of b from `at` on that are to be written from memory; 0: what comes next is in the shadow. */
size_t shadow_before(const struct blob *b, size_t at);
/* Passes on to fd, a pipe, what comes next; as write(2).  waits: until there is room. */
ssize_t shadow_pass(struct blob *b, int fd, bool waits);

#endif
