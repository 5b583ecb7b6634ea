/* cmd/stream-show/stats.h - what a stream holds, counted: --stats */
#ifndef STREAM_SHOW_STATS_H
#define STREAM_SHOW_STATS_H

#include "libcommon/stream/facts.h"

struct stats;
struct stats *stats_new(void);              /* NULL out of memory */
void stats_header(struct stats *st);
/* Counts units and samples, and what is in each field if `fields`.  -1 out of memory. */
int stats_unit(struct stats *st, const struct unit *u, bool fields);
/* One line for the stream, one for each stage that failed samples, one for each field. */
void stats_print(const struct stats *st, struct buf *b, uint64_t bytes, bool complete);
/* Units, samples and errors, for --metrics. */
void stats_facts(const struct stats *st, struct facts *f);
void stats_free(struct stats *st);

#endif
