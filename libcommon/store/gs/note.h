/* libcommon/store/gs/note.h - what this machine keeps of an upload to gs://, in case it is killed
 *
 * CACHE/uploads/HASH-OF-NAME: the address of its session, and the crc32c of all
 * bytes before each of some offsets.  Whoever knows the address may write there, so
 * the file has mode 0600.  It is locked: one name has one writer that keeps notes.
 * Without a place to keep them uploads work, but begin anew after a kill. */
#ifndef PENSTOCK_GS_NOTE_H
#define PENSTOCK_GS_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gs_sum { uint64_t offset; uint32_t crc; };

struct gs_note {
    int fd;                     /* -1: none is kept */
    char *path, *url;
    char *session;              /* of an earlier writer, or NULL */
    struct gs_sum *sum;         /* ascending */
    size_t n;
};

void gs_note_open(struct gs_note *t, const char *url);
/* A new session; what was noted before is gone. */
void gs_note_begin(struct gs_note *t, const char *session);
void gs_note_add(struct gs_note *t, uint64_t offset, uint32_t crc);
/* keep: for the next writer; else the file goes. */
void gs_note_close(struct gs_note *t, bool keep);

#endif
