/* libcommon/store/gs/auth.h - bearer tokens for Google's APIs
 *
 * Looked for in this order: store_anonymous() or an emulator: none; a token file
 * (store_token_file), GCS_OAUTH_TOKEN; GOOGLE_APPLICATION_CREDENTIALS; gcloud's
 * application_default_credentials.json; the metadata server.  What is found but
 * cannot be used is an error, never a reason to look on.  Tokens are kept for the
 * process, renewed by one thread 225 s before they expire, and when a server
 * refuses one.  Nothing secret is ever logged. */
#ifndef PENSTOCK_AUTH_H
#define PENSTOCK_AUTH_H

#include "libcommon/store/base64.h"
#include "libcommon/store/http/http.h"

bool store_is_anonymous(void);          /* store_anonymous() was called */
/* Adds the credentials to r.  fresh: the ones before were refused with 401. */
int auth_google(struct http_request *r, bool fresh, struct error *e);

#endif
