/* libcommon/stream/crew/job.h - a unit that is being computed, and what becomes of it when a child dies
 *
 * Tried whole; a unit that was held alone at a child's death is tried sample by
 * sample; a sample held alone at three deaths becomes an error record. */
#ifndef PENSTOCK_JOB_H
#define PENSTOCK_JOB_H

#include "libcommon/stream/crew/blob.h"
#include "libcommon/stream/format/control.h"

enum { JOB_DEATHS = 3 };

struct job {
    struct job *next;
    uint64_t q, e, k;
    struct blob *body;          /* what is to be computed */
    uint32_t crc;               /* its checksum */
    uint64_t failed;            /* samples of it that have failed already */
    bool alone;                 /* it was there when a child died: nothing else goes with it */
    int deaths;                 /* alone, of the whole or of the sample at hand */
    struct span *sample;        /* once split: the input's samples */
    uint64_t at;                /* the one at hand */
    struct buf made;            /* results so far, without the body's head */
};

/* Takes body; NULL: it is no body of k samples, or out of memory (e). */
struct job *job_new(const struct control *c, struct blob *body, struct error *e);
void job_free(struct job *j);
/* What goes to the child now, the caller's share (NULL: out of memory); k, n, c of *c are filled, *failed of its
 * samples have an error. */
struct blob *job_input(const struct job *j, struct control *c, uint64_t *failed);
/* A child's answer to that (answer: its k, n, c).  Takes body.  1: the unit is done, *out its body and
 * *crc its checksum; 0: go on with job_input; -1: not an answer to it (e). */
int job_answer(struct job *j, const struct control *answer, struct blob *body, struct blob **out, uint32_t *crc,
               struct error *e);
/* A child died while it held this job and no other.  As job_answer. */
int job_died(struct job *j, const char *stage, const char *how, struct blob **out, uint32_t *crc, struct error *e);

#endif
