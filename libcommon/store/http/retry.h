/* libcommon/store/http/retry.h - when a request is tried again, and when it is given up
 *
 * Full jitter, doubling; Retry-After is honoured.  What is bounded is the time
 * without progress, not the number of tries: PENSTOCK_STORE_PATIENCE seconds (300),
 * or 15 while no server has ever answered, which is how a misspelt name looks. */
#ifndef PENSTOCK_RETRY_H
#define PENSTOCK_RETRY_H

#include "libcommon/store/http/http.h"

struct retry {
    const char *subject;        /* "gs://bucket/object", for messages */
    double progress;            /* when something was got last */
    unsigned tries;             /* since then */
};

void retry_begin(struct retry *t, const char *subject);
void retry_progress(struct retry *t);

/* May this answer be different next time? */
bool http_passing(const struct http_request *r);
/* Sleeps and returns 0, or -1 with e: not worth it, out of patience, or a stop was asked. */
int retry_after(struct retry *t, const struct http_request *r, uint64_t byte, struct error *e);
/* The same for a failure that is not the request's: a checksum, a short answer. */
int retry_because(struct retry *t, const char *why, uint64_t byte, struct error *e);

#endif
