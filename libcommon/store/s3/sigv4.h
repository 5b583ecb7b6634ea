/* libcommon/store/s3/sigv4.h - signing requests to S3 (AWS Signature Version 4)
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
#ifndef PENSTOCK_SIGV4_H
#define PENSTOCK_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "libcommon/sys/buf.h"

struct sigv4_request {
    const char *method;
    const char *path;           /* as sent: percent-encoded, with its first slash */
    const char *query;          /* as sent, without '?', percent-encoded; any order; "" if none */
    const char *const (*header)[2];     /* names in lower case, sorted, values trimmed; all are signed */
    size_t n_headers;
    const char *payload_hash;   /* hexadecimal SHA-256 of the body, or UNSIGNED-PAYLOAD */
};

struct sigv4_keys {
    const char *id, *secret;
    const char *region, *service;
};

/* The value of the Authorization header at `now` (UTC).  canonical: if not NULL, the
 * canonical request is appended, for tests.  malloc'd; NULL: out of memory. */
char *sigv4_authorization(const struct sigv4_request *r, const struct sigv4_keys *k, time_t now, struct buf *canonical);
/* "20130524T000000Z" of x-amz-date. */
void sigv4_date(time_t now, char text[17]);

#endif
