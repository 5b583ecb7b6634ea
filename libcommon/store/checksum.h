/* libcommon/store/checksum.h - the checksums that stores keep of their objects */
#ifndef PENSTOCK_CHECKSUM_H
#define PENSTOCK_CHECKSUM_H

#include "libcommon/sys/buf.h"

enum checksum_kind { CHECKSUM_NONE, CHECKSUM_CRC32C, CHECKSUM_CRC32, CHECKSUM_CRC64NVME, CHECKSUM_MD5, CHECKSUM_SHA1,
                     CHECKSUM_SHA256, CHECKSUM_KINDS };
enum { CHECKSUM_MAX = 32, CHECKSUM_TEXT = 2 * CHECKSUM_MAX + 1 };

struct checksum {
    enum checksum_kind kind;    /* CHECKSUM_NONE: unknown */
    uint8_t bytes[CHECKSUM_MAX];        /* those of numbers: big-endian */
};

const char *checksum_name(enum checksum_kind kind);     /* "crc32c", as in x-amz-checksum-crc32c */
uint32_t checksum_number(const struct checksum *c);     /* of four bytes */
/* From base64, or from hexadecimal; false (and kind NONE) if it is not exactly one of that kind. */
bool checksum_from_base64(struct checksum *c, enum checksum_kind kind, struct span text);
bool checksum_from_hex(struct checksum *c, enum checksum_kind kind, struct span text);
bool checksum_same(const struct checksum *a, const struct checksum *b);
void checksum_show(const struct checksum *c, char text[CHECKSUM_TEXT]);     /* hexadecimal */

/* Of bytes as they come.  End frees it; kind NONE: it could not be computed.  NULL is fine everywhere. */
struct checksum_run;
struct checksum_run *checksum_begin(enum checksum_kind kind);      /* NULL: out of memory */
void checksum_add(struct checksum_run *r, const void *data, size_t n);
struct checksum checksum_end(struct checksum_run *r);

/* Of bytes that are there. */
struct checksum checksum_of(enum checksum_kind kind, const void *data, size_t n);
/* SHA-256 as text, which also names files and signs requests. */
void sha256_hex(const void *data, size_t n, char text[CHECKSUM_TEXT]);

#endif
