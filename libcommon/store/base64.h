/* libcommon/store/base64.h - bytes as text, as tokens and checksums travel */
#ifndef PENSTOCK_BASE64_H
#define PENSTOCK_BASE64_H

#include "libcommon/sys/buf.h"

/* base64url of data without padding, or plain base64 with it; malloc'd. */
char *base64_make(const void *data, size_t n, bool url);
/* Plain base64 into to[n]; false unless it is exactly n bytes. */
bool base64_read(struct span text, uint8_t *to, size_t n);

#endif
