/* libcommon/sys/crc32c.h - the checksum of streams and of object stores (Castagnoli) */
#ifndef PENSTOCK_CRC32C_H
#define PENSTOCK_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with 0; the result of one call continues in the next. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* The checksum of a then b, from both checksums and b's length. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_size);
/* crc32c(crc, data, n) for one who has sum, which is crc32c(0, data, n): long data is not gone through again. */
uint32_t crc32c_append(uint32_t crc, const void *data, size_t n, uint32_t sum);
/* The same as crc32c by table alone: what processors without the instruction use, and tests compare with. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t n);

#endif
