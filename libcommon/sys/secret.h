/* libcommon/sys/secret.h - keys and tokens leave memory with their last use
 *
 * A memset before free may be dropped by the compiler, as nobody reads it; these are not. */
#ifndef PENSTOCK_SECRET_H
#define PENSTOCK_SECRET_H

#include "libcommon/sys/buf.h"

void secret_wipe(void *p, size_t n);
void secret_free(char *text);           /* wiped up to its NUL, then freed; NULL is fine */
void secret_release(struct buf *b);     /* wiped, then buf_release */

#endif
