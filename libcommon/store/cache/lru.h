/* libcommon/store/cache/lru.h - a directory kept within a bound: what was used longest ago goes first
 *
 * Its entries are files, or directories of files; the time of an entry is that of its
 * last use.  Several processes may share the directory: one of them shrinks it. */
#ifndef PENSTOCK_LRU_H
#define PENSTOCK_LRU_H

#include <stdbool.h>
#include <stdint.h>

/* If the entries that are `ours` have more than `limit` bytes, removes of them until they have
 * at most `target`.  gone: removes one (the whole path), or says that it stays.  False: nothing was
 * measured, since another process is at it. */
bool lru_shrink(const char *dir, uint64_t limit, uint64_t target, bool (*ours)(const char *name),
                bool (*gone)(const char *path));

#endif
