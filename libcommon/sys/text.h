/* libcommon/sys/text.h - text from outside, made safe for JSON and for readers that insist on UTF-8 */
#ifndef PENSTOCK_TEXT_H
#define PENSTOCK_TEXT_H

#include "libcommon/sys/buf.h"

bool text_is_utf8(const void *text, size_t n);
/* Appends the text; each byte that is not part of UTF-8 becomes U+FFFD. */
void text_put_utf8(struct buf *b, const void *text, size_t n);
/* Appends a JSON string with its quotes; not UTF-8: as above.  text may be NULL if n is 0. */
void text_put_json(struct buf *b, const void *text, size_t n);
/* Appends a JSON number: the shortest that reads back the same; null if it is not finite. */
void text_put_json_real(struct buf *b, double v);

#endif
