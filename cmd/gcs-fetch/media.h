/* cmd/gcs-fetch/media.h - the bytes of media: read at once, or planned and fetched elsewhere
 *
 * A planned sample has, in place of `audio`, `fetch.audio`: {"generation": N,
 * "audio": URL or [URL ...], "at": N, "size": N}, and so for images. */
#ifndef GCS_FETCH_MEDIA_H
#define GCS_FETCH_MEDIA_H

#include "libcommon/cli/opt.h"
#include "libcommon/stream/format/sample.h"

#define MEDIA_PLAN "fetch."

/* Where bytes lie: a whole object, or `size` bytes of it from `at` on. */
struct media {
    const char *url;
    uint64_t generation;        /* 0: the newest */
    bool part;
    uint64_t at, size;
};
/* Whole objects of stores are kept in `dir` (libcommon/store/cache/cache.h) from now on. */
int media_cache(const char *dir, uint64_t limit, struct error *e);
/* Appends them as a msgpack bin; -1 also if b would hold more than `room` bytes. */
int media_read(const struct media *m, struct buf *b, size_t room, struct error *e);
/* gcs-fetch --fetch: a filter that reads what was planned.  Returns the exit status. */
int media_fetch(const struct common *common);

#endif
