/* libcommon/store/http/remote_impl.h - what remote.c (reading) and remote_open.c (the first answer) share */
#ifndef PENSTOCK_REMOTE_IMPL_H
#define PENSTOCK_REMOTE_IMPL_H

#include "libcommon/store/http/remote.h"
#include "libcommon/store/http/retry.h"

/* The server inflated it: it knows neither ranges nor length. */
bool remote_gunzipped(const struct http_request *r);
/* Another version is there by now: -1, always. */
int remote_changed(const struct remote *o, struct error *e);
/* What a failed answer means.  0: again (slept, or with fresh credentials); -1 with e. */
int remote_failed(struct remote *o, const struct http_request *r, struct retry *t, uint64_t byte, bool *fresh,
                  struct error *e);
/* Bytes [offset, offset + size), unverified, as parts side by side. */
int remote_parts(struct remote *o, uint64_t offset, size_t size, uint8_t *to, struct error *e);
/* All of it, of which `head` is there, verified. */
int remote_whole(struct remote *o, uint8_t *to, struct error *e);

#endif
