/* tests/unit/stream_make.h - streams made up for tests, and filters that exist for tests
 *
 * Sample i of unit q is "clip-Q-I": `pcm`, float32 0, 0.01, ... 0.99, 0, ...;
 * `rate`; `text`.  The first of each fifth unit (q = 4, 9, ...) is an error record.
 *
 *   stream_test make UNITS SAMPLES BYTES [FIRST_Q]   writes a stream, each sample with a `pcm` of BYTES bytes
 *   stream_test pass [OPTIONS]                       a filter that changes nothing
 *   stream_test flip [OPTIONS]                       a filter that fails each third sample, `flipped` in the others */
#ifndef TEST_STREAM_MAKE_H
#define TEST_STREAM_MAKE_H

#include "libcommon/stream/stream.h"

extern const uint8_t stream_make_run[16];
/* to: as stream_out_open's.  0, or -1 with e. */
int stream_make(const char *to, uint64_t units, uint32_t k, size_t bytes, uint64_t first, struct error *e);
/* The same of units that fill(ctx, u, q, e) puts samples into (0, or -1), for q from `first` on; st: their stage. */
int stream_make_of(const char *to, const struct stage *st, uint64_t samples, uint64_t first, uint64_t units,
                   int (*fill)(void *ctx, struct unit *u, uint64_t q, struct error *e), void *ctx, struct error *e);
/* main of the tool; returns its exit status. */
int stream_tool(int argc, char **argv);

#endif
