/* libcommon/store/checksum.c - see checksum.h
 *
 * CRC64NVME is that of the NVM Express specification (its table is made from the
 * reflected polynomial); CRC32 is zlib's. */
#include "libcommon/store/checksum.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "libcommon/store/base64.h"
#include "libcommon/sys/crc32c.h"

static const struct { const char *name; size_t size; } known[CHECKSUM_KINDS] = {
    { "none", 0 }, { "crc32c", 4 }, { "crc32", 4 }, { "crc64nvme", 8 }, { "md5", 16 }, { "sha1", 20 }, { "sha256", 32 },
};

const char *checksum_name(enum checksum_kind kind) { return known[kind].name; }

/* --- as text ------------------------------------------------------------------------ */

bool checksum_from_base64(struct checksum *c, enum checksum_kind kind, struct span text)
{
    *c = (struct checksum){ 0 };
    if (text.size && base64_read(text, c->bytes, known[kind].size))
        c->kind = kind;
    return c->kind;
}

bool checksum_from_hex(struct checksum *c, enum checksum_kind kind, struct span text)
{
    *c = (struct checksum){ 0 };
    if (text.size != 2 * known[kind].size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *at = text.data[i] ? strchr(digits, text.data[i] | 0x20) : NULL;
        if (!at)
            return false;
        c->bytes[i / 2] = (uint8_t)(c->bytes[i / 2] << 4 | (at - digits));
    }
    c->kind = kind;
    return c->kind;
}

bool checksum_same(const struct checksum *a, const struct checksum *b)
{
    return a->kind == b->kind && !memcmp(a->bytes, b->bytes, known[a->kind].size);
}

void checksum_show(const struct checksum *c, char text[CHECKSUM_TEXT])
{
    *text = 0;
    for (size_t i = 0; i < known[c->kind].size; i++)
        snprintf(text + 2 * i, 3, "%02x", c->bytes[i]);
}

/* --- computing ------------------------------------------------------------------------ */

static uint64_t table64[256];

static void table64_make(void)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0x9a6c9329ac4bc9b5 : c >> 1;
        table64[i] = c;
    }
}

static uint64_t crc64nvme(uint64_t crc, const uint8_t *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, table64_make);
    crc = ~crc;
    for (size_t i = 0; i < n; i++)
        crc = table64[(crc ^ p[i]) & 255] ^ crc >> 8;
    return ~crc;
}

struct checksum_run {
    enum checksum_kind kind;
    uint64_t crc;
    EVP_MD_CTX *digest;
};

struct checksum_run *checksum_begin(enum checksum_kind kind)
{
    struct checksum_run *r = calloc(1, sizeof *r);
    const EVP_MD *md = kind == CHECKSUM_MD5 ? EVP_md5() : kind == CHECKSUM_SHA1 ? EVP_sha1() :
                       kind == CHECKSUM_SHA256 ? EVP_sha256() : NULL;
    if (!r)
        return NULL;
    r->kind = kind;
    if (!md)
        return r;
    r->digest = EVP_MD_CTX_new();
    if (r->digest && EVP_DigestInit_ex(r->digest, md, NULL) == 1)
        return r;
    checksum_end(r);
    return NULL;
}

void checksum_add(struct checksum_run *r, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (!r)
        return;
    if (r->kind == CHECKSUM_CRC32C)
        r->crc = crc32c((uint32_t)r->crc, p, n);
    else if (r->kind == CHECKSUM_CRC64NVME)
        r->crc = crc64nvme(r->crc, p, n);
    else if (r->digest && EVP_DigestUpdate(r->digest, p, n) != 1)
        r->kind = CHECKSUM_NONE;
    for (size_t done = 0, k; r->kind == CHECKSUM_CRC32 && done < n; done += k) {
        k = n - done < 1 << 30 ? n - done : 1 << 30;        /* zlib counts in an unsigned int */
        r->crc = crc32((uLong)r->crc, p + done, (uInt)k);
    }
}

struct checksum checksum_end(struct checksum_run *r)
{
    struct checksum c = { 0 };
    unsigned n = 0;
    if (!r)
        return c;
    c.kind = r->kind;
    if (r->digest && EVP_DigestFinal_ex(r->digest, c.bytes, &n) != 1)
        c.kind = CHECKSUM_NONE;
    for (size_t i = 0; !r->digest && i < known[c.kind].size; i++)
        c.bytes[i] = (uint8_t)(r->crc >> 8 * (known[c.kind].size - 1 - i));
    EVP_MD_CTX_free(r->digest);
    free(r);
    return c;
}

struct checksum checksum_of(enum checksum_kind kind, const void *data, size_t n)
{
    struct checksum_run *r = checksum_begin(kind);
    checksum_add(r, data, n);
    return checksum_end(r);
}

uint32_t checksum_number(const struct checksum *c)
{
    return (uint32_t)c->bytes[0] << 24 | (uint32_t)c->bytes[1] << 16 | (uint32_t)c->bytes[2] << 8 | c->bytes[3];
}

void sha256_hex(const void *data, size_t n, char text[CHECKSUM_TEXT])
{
    struct checksum c = { .kind = CHECKSUM_SHA256 };
    EVP_Digest(data, n, c.bytes, NULL, EVP_sha256(), NULL);
    checksum_show(&c, text);
}
