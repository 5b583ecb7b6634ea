/* libcommon/record/recording.h - a stream kept on disk: files of bounded size, and where each unit lies
 *
 * DIR/part-000000.stream       a whole stream: header, units, end; `cat` of all parts is one, too
 * DIR/part-000000.index        where its units lie, little-endian: "PSINDEX1", units, samples, then
 *                              units + 1 pairs (offset of the unit, samples before it)
 * DIR/part-000001.stream.part  the file that is being written
 * DIR/recording.json           written last: its presence says that the recording is whole
 *
 * Units are numbered by where they stand, whatever their q.  A sequence of plain
 * stream files can be read the same way; their index is made by a walk. */
#ifndef PENSTOCK_RECORDING_H
#define PENSTOCK_RECORDING_H

#include "libcommon/stream/stream.h"

/* --- writing: one process at a time, which the directory's lock sees to --------- */

struct record_writer;
/* Makes DIR or goes on in it: what a killed writer left is kept up to its last whole unit.
 * A file is closed when it reaches part_bytes. */
struct record_writer *record_open(const char *dir, uint64_t part_bytes, struct error *e);
uint64_t record_units(const struct record_writer *w);       /* kept so far: where to go on */
bool record_is_whole(const struct record_writer *w);        /* nothing is left to do */
/* Totals over everything kept. */
struct stream_end record_total(const struct record_writer *w);
/* The run id of what is kept, or an empty span. */
struct span record_run(const struct record_writer *w);
/* A header: the first must be that of what is kept already; a later one begins another stream. */
int record_header(struct record_writer *w, const struct header *h, struct error *e);
/* u->body as it was read. */
int record_unit(struct record_writer *w, const struct unit *u, struct error *e);
int record_sync(struct record_writer *w, struct error *e);  /* all that was recorded is durable now */
int record_finish(struct record_writer *w, struct error *e);        /* the input ended well: the recording is whole */
void record_close(struct record_writer *w);                 /* otherwise: it can be gone on with */

/* --- reading: any unit at any time, from several threads ---------------------------- */

struct recording;
/* Each path: a recording's directory or a stream file. */
struct recording *recording_open(char *const *path, size_t n, struct error *e);
void recording_close(struct recording *r);
const struct header *recording_header(const struct recording *r);      /* the first; all agree on how they were made */
uint64_t recording_streams(const struct recording *r);                  /* how many headers there were */
uint64_t recording_units(const struct recording *r);
uint64_t recording_samples(const struct recording *r);
uint64_t recording_first_q(const struct recording *r);
/* The i-th unit, with its q and epoch. */
int recording_unit(const struct recording *r, uint64_t i, struct unit *u, struct error *e);
/* Which unit holds the i-th sample, and where in it. */
int recording_find(const struct recording *r, uint64_t i, uint64_t *unit, uint64_t *at, struct error *e);

#endif
