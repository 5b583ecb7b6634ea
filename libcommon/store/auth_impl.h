/* libcommon/store/auth_impl.h - what the files of auth share: a token, and where it comes from */
#ifndef PENSTOCK_AUTH_IMPL_H
#define PENSTOCK_AUTH_IMPL_H

#include <jansson.h>

#include "libcommon/store/auth.h"

struct token {
    char *value;                /* NULL: none is needed */
    double expires;             /* clock_seconds(); 0: never */
    char *quota_project;        /* or NULL */
};

#define AUTH_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"

/* From the content of a credentials file; `name` is the file, for messages. */
int token_from_json(const json_t *credentials, const char *name, struct token *t, struct error *e);
int token_from_metadata(struct token *t, struct error *e);

/* One exchange with a token server: POST of body (NULL: GET), JSON back; `what` is for messages.
 * header: one more, or NULL.  The caller owns *answer. */
int token_exchange(const char *what, const char *url, const char *body, const char *content_type, const char *header, bool no_proxy,
                   json_t **answer, struct error *e);
/* Takes access_token and expires_in out of an answer. */
int token_take(const char *what, const json_t *answer, struct token *t, struct error *e);

#endif
