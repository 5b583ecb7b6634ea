/* tests/unit/checksum_test.c - checksums of stores against published values
 *
 * "123456789": the catalogue of CRC algorithms (reveng.sourceforge.io), RFC 1321
 * and FIPS 180 for the digests, as `md5sum` and its kin print them. */
#include "libcommon/store/checksum.h"
#include "tests/unit/tap.h"

static void of_digits(enum checksum_kind kind, const char *want)
{
    static const char digits[] = "123456789";
    char got[CHECKSUM_TEXT];
    struct checksum c = checksum_of(kind, digits, 9), read;
    checksum_show(&c, got);
    is_str(got, want, checksum_name(kind));
    struct checksum_run *r = checksum_begin(kind);
    for (int i = 0; i < 9; i += 4)
        checksum_add(r, digits + i, i < 8 ? 4 : 1);
    struct checksum pieces = checksum_end(r);
    ok(checksum_same(&c, &pieces), "%s, in pieces", checksum_name(kind));
    ok(checksum_from_hex(&read, kind, span_of(want, strlen(want))) && checksum_same(&c, &read), "%s, from its text",
       checksum_name(kind));
}

int main(void)
{
    struct checksum c, d = checksum_of(CHECKSUM_CRC32C, "123456789", 9);
    ok(checksum_number(&d) == 0xe3069283, "and CRC32C as a number");
    of_digits(CHECKSUM_CRC32C, "e3069283");
    of_digits(CHECKSUM_CRC32, "cbf43926");
    of_digits(CHECKSUM_CRC64NVME, "ae8b14860a799888");
    of_digits(CHECKSUM_MD5, "25f9e794323b453885f5181f1b624d0b");
    of_digits(CHECKSUM_SHA1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    of_digits(CHECKSUM_SHA256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
    ok(checksum_from_base64(&c, CHECKSUM_CRC32C, span_of("4waSgw==", 8)) && checksum_same(&c, &d), "base64");
    ok(!checksum_from_base64(&c, CHECKSUM_CRC32C, span_of("4waSgw==-7", 10)),
       "the checksum of checksums of parts is none of the object");
    ok(!checksum_from_hex(&c, CHECKSUM_MD5, span_of("25f9e794323b453885f5181f1b624d0b-2", 34)),
       "an ETag of parts is no MD5");
    ok(!checksum_from_hex(&c, CHECKSUM_MD5, span_of("25f9e794323b453885f5181f1b624d0g", 32)),
       "nor is what is not hexadecimal");
    return done();
}
