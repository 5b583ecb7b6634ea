/* libcommon/stream/crew/blob.c - see blob.h */
#include "libcommon/stream/crew/blob.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Bodies come and go by the megabyte, in our threads and in libzmq's: what is given back is cleared by the
 * kernel before it is ours again, which costs more than copying it. */
void blob_memory_keep(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

static void plain_release(struct blob *b) { free(b); }

struct blob *blob_new(size_t size)
{
    struct blob *b = size < SIZE_MAX - sizeof *b ? malloc(sizeof *b + size) : NULL;
    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->size = size;
    b->data = (uint8_t *)(b + 1);
    b->release = plain_release;
    b->shadow = NULL;
    return b;
}

struct blob *blob_copy(struct span bytes)
{
    struct blob *b = blob_new(bytes.size);
    if (b && bytes.size)
        memcpy(b->data, bytes.data, bytes.size);
    return b;
}

struct blob *blob_share(struct blob *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void blob_drop(struct blob *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        b->release(b);
}
