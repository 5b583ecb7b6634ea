/* libcommon/store/gs/auth_impl.h - what the files of auth share: a token, and where it comes from */
#ifndef PENSTOCK_AUTH_IMPL_H
#define PENSTOCK_AUTH_IMPL_H

#include <jansson.h>

#include "libcommon/store/gs/auth.h"

struct token {
    char *value;                /* NULL: none is needed */
    double expires;             /* clock_seconds(); 0: never */
    char *quota_project;        /* or NULL */
};

#define AUTH_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"

/* From the content of a credentials file; `name` is the file, for messages. */
int token_from_json(const json_t *credentials, const char *name, struct token *t, struct error *e);
int token_from_metadata(struct token *t, struct error *e);

enum { EXCHANGE_MAX = 64 << 10 };

/* One exchange with a token server. */
struct exchange {
    const char *what;           /* for messages */
    const char *method, *url;
    const char *body, *content_type;    /* NULL: none */
    const char *header;         /* one more, or NULL */
    bool nearby;                /* a metadata server: no proxy, no encryption, given up soon if nobody answers */
};
int auth_exchange(const struct exchange *x, struct buf *text, struct error *e);
/* JSON back; the caller owns *answer. */
int token_exchange(const struct exchange *x, json_t **answer, struct error *e);
/* A credentials file can name any address: only encrypted ones are fine, or this machine. */
bool auth_address_ok(const char *url);
/* Takes access_token and expires_in out of an answer. */
int token_take(const char *what, const json_t *answer, struct token *t, struct error *e);

#endif
