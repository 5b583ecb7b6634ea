/* kernels/dsp/sound_whole.c - see sound_whole.h
 *
 * Only lengths are read here; a header that makes no sense is left for libsndfile to name. */
#include "kernels/dsp/sound_whole.h"

#include <stdio.h>
#include <string.h>

static uint64_t number(const uint8_t *p, size_t bytes, bool big)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[big ? i : bytes - 1 - i];
    return v;
}

static bool is_tag(const uint8_t *p, const char *tag) { return memcmp(p, tag, 4) == 0; }

static bool printable(const uint8_t *p)
{
    for (size_t i = 0; i < 4; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    return true;
}

static int cut(uint64_t promised, uint64_t there, char why[WHY])
{
    snprintf(why, WHY, "cut short: its header promises %llu bytes of sound, %llu are there", (unsigned long long)promised,
             (unsigned long long)there);
    return -1;
}

static int second(const char *kind, size_t at, char why[WHY])
{
    snprintf(why, WHY, "several %s files in one, the second at byte %zu: only the first would be heard", kind, at);
    return -1;
}

/* RIFF, RIFX, RF64 and AIFF are lists of chunks: a tag, a size, content padded to an even length
 * (some writers forget the pad).  Streams of unknown length say 0xffffffff. */
static int chunks_whole(const uint8_t *b, size_t size, bool big, const char *data_tag, char why[WHY])
{
    uint64_t long_size = UINT64_MAX;
    size_t at = 12;
    while (size - at >= 8) {
        const uint8_t *tag = b + at;
        uint64_t n = number(b + at + 4, 4, big), left = size - at - 8;
        if (is_tag(tag, data_tag)) {
            if (n == UINT32_MAX)
                n = long_size;
            return n != UINT64_MAX && n > left ? cut(n, left, why) : 0;
        }
        if (is_tag(tag, "ds64") && left >= 16)
            long_size = number(b + at + 16, 8, false);
        if (!printable(tag) || n > left)
            return 0;
        at += 8 + (size_t)n;
        if (n % 2 && at < size && (size - at < 5 || !printable(b + at) || printable(b + at + 1)))
            at++;
    }
    return 0;
}

static int au_whole(const uint8_t *b, size_t size, char why[WHY])
{
    if (size < 24)
        return 0;
    bool big = is_tag(b, ".snd");
    uint64_t offset = number(b + 4, 4, big), n = number(b + 8, 4, big);
    if (n == UINT32_MAX || offset > size)
        return 0;
    return n > size - offset ? cut(n, size - offset, why) : 0;
}

/* The checksum of an Ogg page: CRC-32 of polynomial 0x04c11db7, highest bit first, from 0, with the
 * four bytes of the checksum itself (at 22) taken as 0. */
static uint32_t ogg_checksum(const uint8_t *page, size_t n, const uint32_t table[256])
{
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++)
        crc = crc << 8 ^ table[(crc >> 24 ^ (i - 22 < 4 ? 0 : page[i])) & 255];
    return crc;
}

static void ogg_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ (crc & 0x80000000u ? 0x04c11db7u : 0);
        table[i] = crc;
    }
}

/* A page: "OggS", version, flags (2: the first, 4: the last), ..., checksum at byte 22, number of segments at 26,
 * their sizes (RFC 3533).  The decoder skips a damaged page as if it had never been. */
static int ogg_whole(const uint8_t *b, size_t size, char why[WHY])
{
    uint32_t table[256];
    ogg_table(table);
    bool last = false;
    for (size_t at = 0; at < size;) {
        size_t left = size - at;
        size_t head = left >= 27 ? 27 + (size_t)b[at + 26] : SIZE_MAX, body = 0;
        if (head <= left)
            for (size_t i = 27; i < head; i++)
                body += b[at + i];
        bool page = left < 4 || is_tag(b + at, "OggS");
        if (page && (head > left || body > left - head)) {
            snprintf(why, WHY, "cut short: its last Ogg page, at byte %zu, is not whole", at);
            return -1;
        }
        if (!page || ogg_checksum(b + at, head + body, table) != number(b + at + 22, 4, false)) {
            snprintf(why, WHY, "damaged: the Ogg page at byte %zu", at);
            return -1;
        }
        if (last && b[at + 5] & 2)
            return second("Ogg", at, why);
        last = b[at + 5] & 4;
        at += head + body;
    }
    if (!last)
        snprintf(why, WHY, "cut short: no Ogg page is marked as the last");
    return last ? 0 : -1;
}

/* "fLaC" and STREAMINFO's header: block type 0, perhaps the last one, of 34 bytes (RFC 9639).  Within a
 * stream these eight bytes stand by chance once in 2^63. */
static int flac_single(const uint8_t *b, size_t size, char why[WHY])
{
    const uint8_t *from = b + 4, *end = b + size;
    while (end - from >= 8 && (from = memchr(from, 'f', (size_t)(end - from) - 7))) {
        if (is_tag(from, "fLaC") && !(from[4] & 0x7f) && number(from + 5, 3, true) == 34)
            return second("FLAC", (size_t)(from - b), why);
        from++;
    }
    return 0;
}

/* What follows the length that a RIFF header gives. */
static int riff_single(const uint8_t *b, size_t size, bool big, char why[WHY])
{
    uint64_t n = number(b + 4, 4, big);
    size_t at = 8 + (size_t)n + n % 2;
    if (n >= UINT32_MAX - 1 || at > size || size - at < 12 || memcmp(b, b + at, 4) != 0 || !is_tag(b + at + 8, "WAVE"))
        return 0;
    return second("WAV", at, why);
}

int sound_is_whole(const uint8_t *b, size_t size, char why[WHY])
{
    if (size < 12)
        return 0;
    if (is_tag(b, "RIFF") || is_tag(b, "RF64") || is_tag(b, "RIFX"))
        return chunks_whole(b, size, is_tag(b, "RIFX"), "data", why) < 0 ? -1 : riff_single(b, size, is_tag(b, "RIFX"), why);
    if (is_tag(b, "FORM"))
        return chunks_whole(b, size, true, "SSND", why);
    if (is_tag(b, ".snd") || is_tag(b, "dns."))
        return au_whole(b, size, why);
    if (is_tag(b, "OggS"))
        return ogg_whole(b, size, why);
    if (is_tag(b, "fLaC"))
        return flac_single(b, size, why);
    return 0;
}
