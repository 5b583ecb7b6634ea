/* libcommon/store/cache/cache.h - objects kept on this machine's disk, within a bound
 *
 * Files are named by a hash of URL and generation, so that none is ever out of
 * date; each holds its own checksum and appears by rename.  Several processes may
 * share a directory.  What was used longest ago goes first. */
#ifndef PENSTOCK_CACHE_H
#define PENSTOCK_CACHE_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* The directory of PENSTOCK_CACHE, else ~/.cache/penstock; malloc'd. */
char *cache_home(void);
/* PENSTOCK_CACHE_SIZE, else 50 GiB: how much of models and checkpoints is kept there.  -1: it is no size. */
int cache_limit(uint64_t *limit, struct error *e);

struct cache;
struct cache *cache_open(const char *dir, uint64_t limit, struct error *e);
void cache_close(struct cache *c);
/* The size of what is kept of this version of an object; -1: nothing.  May be called
 * from several threads, as may the others. */
int64_t cache_size(const struct cache *c, const char *url, uint64_t generation);
/* Its bytes, n of them; false: it is gone, or damaged (and removed). */
bool cache_get(const struct cache *c, const char *url, uint64_t generation, void *to, size_t n);
/* Keeps a copy.  A full disk is no error: nothing is kept then. */
void cache_put(struct cache *c, const char *url, uint64_t generation, const void *data, size_t n);

#endif
