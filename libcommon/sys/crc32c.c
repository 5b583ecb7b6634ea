/* libcommon/sys/crc32c.c - see crc32c.h
 *
 * Polynomials over GF(2) are held reflected: bit 31 is x^0, bit 0 is x^31; P is
 * Castagnoli's.  Appending n zero bytes to a message multiplies its remainder by
 * x^(8n) mod P, which is what crc32c_combine does, and how three runs of the
 * processor's instruction, which has a latency of three, are made one. */
#include "libcommon/sys/crc32c.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__clang__)
#define HARDWARE __attribute__((target("crc")))
#else
#define HARDWARE __attribute__((target("+crc")))
#endif
#endif

static const uint32_t P = 0x82f63b78;

/* --- table: eight bytes a step ------------------------------------------------------- */
static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ P : c >> 1;
        table[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

uint32_t crc32c_table(uint32_t crc, const void *data, size_t n)
{
    pthread_once(&once, table_make);
    const uint8_t *p = data;
    uint32_t c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        c = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24]
          ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; n--)
        c = c >> 8 ^ table[0][(c ^ *p++) & 255];
    return ~c;
}

/* --- products modulo P ------------------------------------------------------------------ */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (; a; a <<= 1) {
        product ^= b & (0u - (a >> 31));
        b = b >> 1 ^ (P & (0u - (b & 1)));
    }
    return product;
}

/* x^(8n) */
static uint32_t power(uint64_t n)
{
    uint32_t result = 1u << 31, square = 1u << 23;      /* 1, x^8 */
    for (; n; n >>= 1) {
        if (n & 1)
            result = multiply(square, result);
        square = multiply(square, square);
    }
    return result;
}

uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_size)
{
    return multiply(power(b_size), a) ^ b;
}

/* --- the processor's own instruction -------------------------------------------------------- */
#ifdef HARDWARE
#if defined(__x86_64__)
HARDWARE static inline uint32_t step8(uint32_t c, uint64_t v) { return (uint32_t)_mm_crc32_u64(c, v); }
HARDWARE static inline uint32_t step1(uint32_t c, uint8_t v) { return _mm_crc32_u8(c, v); }
static int have(void) { return __builtin_cpu_supports("sse4.2"); }
#else
HARDWARE static inline uint32_t step8(uint32_t c, uint64_t v) { return __crc32cd(c, v); }
HARDWARE static inline uint32_t step1(uint32_t c, uint8_t v) { return __crc32cb(c, v); }
#if defined(__linux__)
static int have(void) { return (getauxval(AT_HWCAP) & (1 << 7)) != 0; }     /* HWCAP_CRC32 */
#else
static int have(void) { return 1; }
#endif
#endif

static inline uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

HARDWARE static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n)
{
    enum { LANE = 4096 };
    static const uint32_t one_lane = 0x35d73a62, two_lanes = 0x28461564;    /* power(LANE), power(2 * LANE) */
    uint32_t c = ~crc;
    for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        uint32_t c1 = 0, c2 = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            c = step8(c, load(p + i));
            c1 = step8(c1, load(p + LANE + i));
            c2 = step8(c2, load(p + 2 * LANE + i));
        }
        c = multiply(two_lanes, c) ^ multiply(one_lane, c1) ^ c2;
    }
    for (; n >= 8; n -= 8, p += 8)
        c = step8(c, load(p));
    for (; n; n--)
        c = step1(c, *p++);
    return ~c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
#ifdef HARDWARE
    if (have())
        return hardware(crc, data, n);
#endif
    return crc32c_table(crc, data, n);
}

uint32_t crc32c_append(uint32_t crc, const void *data, size_t n, uint32_t sum)
{
    enum { COMBINE_MIN = 4 << 10 };     /* below, the bytes are summed sooner than their sum is used */
    return n < COMBINE_MIN ? crc32c(crc, data, n) : crc32c_combine(crc, sum, n);
}
